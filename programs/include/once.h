// Doing things once: a ring of the newest entries (window, id, content) in an account, with a floor below which nothing is
// done any more. An entry that leaves the ring lifts the floor above its window, so nothing can be done twice.
#pragma once
#include "guards.h"

enum { ONCE_FLOOR = 0, ONCE_ENTERED = 8, ONCE_ENTRIES = 16, ONCE_ENTRY = 32 };

typedef struct {
    u64 window;
    u8 id[32], content[32]; // digests, of which 16 and 8 bytes are kept
} Deed;

enum { NEW = 0, DONE_BEFORE = 1, TOO_OLD = 2, CONFLICT = 3 };

// Says whether `deed` is new to the ring at `ring`, which remembers `capacity` deeds.
static __attribute__((noinline)) u64 look_up(const u8 *ring, u64 capacity, const Deed *deed) {
    u64 id = rd64(deed->id), rest = rd64(deed->id + 8);
    const u8 *entry = ring + ONCE_ENTRIES;
    for (u64 left = capacity; left > 0; left--, entry += ONCE_ENTRY) {
        if (rd64(entry + 8) != id || rd64(entry + 16) != rest) continue;
        return rd64(entry + 24) == rd64(deed->content) && rd64(entry) == deed->window ? DONE_BEFORE : CONFLICT;
    }
    return deed->window < rd64(ring + ONCE_FLOOR) ? TOO_OLD : NEW;
}

INLINE void enter_deed(u8 *ring, u64 capacity, const Deed *deed) {
    u64 entered = rd64(ring + ONCE_ENTERED);
    u8 *entry = ring + ONCE_ENTRIES + entered % capacity * ONCE_ENTRY;
    if (entered >= capacity && rd64(entry) >= rd64(ring + ONCE_FLOOR)) wr64(ring + ONCE_FLOOR, rd64(entry) + 1);
    wr64(entry, deed->window);
    wr64(entry + 8, rd64(deed->id));
    wr64(entry + 16, rd64(deed->id + 8));
    wr64(entry + 24, rd64(deed->content));
    wr64(ring + ONCE_ENTERED, entered + 1);
}
