// Oracle: what counted of each meter, window by window, and the Merkle roots of the batches. See idl.json for the accounts.
#include "guards.h"

#define WINDOWS 2048
#define PAGE_WINDOWS 256
#define MAINTENANCE 1 // the highest status of the registry whose readings count

typedef struct { u64 accepted, repeated, produced_wh, consumed_wh; } Sums;

static u64 sync_meter(Context *c) {
    TRY(expect(c, 4, SYNC_METER_ARGS));
    Account *payer = &c->accounts[0], *meter = &c->accounts[1], *state = &c->accounts[2];
    NEED(payer->is_signer, NOT_SIGNER);
    NEED(payer->is_writable && state->is_writable, NOT_WRITABLE);
    TRY(holds(meter, opaque(REGISTRY_ID), ACCOUNT_METER, METER_LEN));
    const u8 *meter_id = meter->data + METER_METER_ID;
    u8 *d = state->data;
    if (equal32(state->owner, c->program_id)) {
        TRY(holds(state, c->program_id, ACCOUNT_METER_STATE, METER_STATE_LEN));
        NEED(equal32(d + METER_STATE_METER_ID, meter_id), ERROR_INVALID_METER);
    } else {
        u8 bump;
        New new = {payer, state, &c->accounts[3], LABEL("state"), (Bytes){meter_id, 32}, METER_STATE_LEN};
        TRY(create(c, &new, c->program_id, &bump));
        wr64(d, ACCOUNT_METER_STATE);
        copy32(d + METER_STATE_METER_ID, meter_id);
        d[METER_STATE_BUMP] = bump;
    }
    u32 limit_wh = rd32(meter->data + METER_LIMIT_WH);
    u8 status = meter->data[METER_STATUS];
    wr32(d + METER_STATE_LIMIT_WH, limit_wh);
    d[METER_STATE_STATUS] = status;
    u8 event[45];
    wr64(event, EVENT_METER_SYNCED);
    copy32(event + 8, meter_id);
    wr32(event + 40, limit_wh);
    event[44] = status;
    return emit(event, sizeof event);
}

#define WORDS (WINDOWS / 64)
#define WORD(bits, window) ((bits) + ((window) >> 6) % WORDS * 8)

// Clears the bits of the windows after `newest` up to `window`: from now on they stand for these windows.
INLINE void advance(u8 *bits, u64 newest, u64 window) {
    if (window - newest >= WINDOWS) {
        sol_memset_(bits, 0, WORDS * 8);
        return;
    }
    u64 next = newest + 1, head = ~0ULL << (next & 63), tail = ~0ULL >> (63 - (window & 63));
    u64 between = (window >> 6) - (next >> 6); // words from the first to the last
    if (between == 0) {
        wr64(WORD(bits, next), rd64(WORD(bits, next)) & ~(head & tail));
        return;
    }
    wr64(WORD(bits, next), rd64(WORD(bits, next)) & ~head);
    wr64(WORD(bits, window), rd64(WORD(bits, window)) & ~tail);
    if (between == 1) return;
    // Whole words, up to the end of the ring and on from its start.
    u64 start = ((next >> 6) + 1) % WORDS, count = between - 1, first = WORDS - start < count ? WORDS - start : count;
    sol_memset_(bits + start * 8, 0, first * 8);
    sol_memset_(bits, 0, (count - first) * 8);
}

// Lets one reading count, unless its window counted before. A repeated one is harmless whatever happened to the meter since.
INLINE u64 count(const Context *c, Account *state, u64 window, u64 produced_wh, u64 consumed_wh, Sums *sums) {
    NEED(state->is_writable, NOT_WRITABLE);
    TRY(holds(state, c->program_id, ACCOUNT_METER_STATE, METER_STATE_LEN));
    u8 *d = state->data, *bits = d + METER_STATE_ACCEPTED;
    u64 newest = rd64(d + METER_STATE_NEWEST_WINDOW);
    u8 *word = WORD(bits, window);
    u64 bit = 1ULL << (window & 63);
    if (window <= newest) {
        NEED(newest - window < WINDOWS, ERROR_WINDOW_TOO_OLD);
        if (rd64(word) & bit) {
            sums->repeated++;
            return 0;
        }
    }
    NEED(d[METER_STATE_STATUS] <= MAINTENANCE, ERROR_METER_NOT_ACTIVE);
    u64 limit_wh = rd32(d + METER_STATE_LIMIT_WH);
    NEED(produced_wh <= limit_wh && consumed_wh <= limit_wh, ERROR_IMPLAUSIBLE_READING);
    u64 produced, consumed;
    NEED(!__builtin_add_overflow(rd64(d + METER_STATE_PRODUCED_WH), produced_wh, &produced), ERROR_OVERFLOW);
    NEED(!__builtin_add_overflow(rd64(d + METER_STATE_CONSUMED_WH), consumed_wh, &consumed), ERROR_OVERFLOW);
    if (window > newest) {
        advance(bits, newest, window);
        wr64(d + METER_STATE_NEWEST_WINDOW, window);
    }
    wr64(word, rd64(word) | bit);
    wr64(d + METER_STATE_PRODUCED_WH, produced);
    wr64(d + METER_STATE_CONSUMED_WH, consumed);
    wr64(d + METER_STATE_READINGS, rd64(d + METER_STATE_READINGS) + 1);
    sums->accepted++;
    sums->produced_wh += produced_wh; // at most 64 values of 32 bits
    sums->consumed_wh += consumed_wh;
    return 0;
}

static u64 submit_energy_reading(Context *c) {
    TRY(expect(c, 3, SUBMIT_ENERGY_READING_ARGS));
    Account *config = &c->accounts[1], *state = &c->accounts[2];
    u64 window = rd64(c->data + 8), produced_wh = rd64(c->data + 16), consumed_wh = rd64(c->data + 24);
    TRY(authorized(&c->accounts[0], config, CONFIG_SUBMITTER));
    TRY(has_ended(config, window));
    Sums sums = {0, 0, 0, 0};
    TRY(count(c, state, window, produced_wh, consumed_wh, &sums));
    if (sums.repeated) {
        LOG("counted before");
        return 0;
    }
    u8 event[64];
    wr64(event, EVENT_READING_ACCEPTED);
    copy32(event + 8, state->data + METER_STATE_METER_ID);
    wr64(event + 40, window);
    wr64(event + 48, produced_wh);
    wr64(event + 56, consumed_wh);
    return emit(event, sizeof event);
}

static u64 submit_energy_readings(Context *c) {
    NEED(c->count >= 3, NOT_ENOUGH_KEYS);
    u64 meters = c->count - 2;
    NEED(c->data_len == 20 + 8 * meters && rd32(c->data + 16) == meters, INSTRUCTION_MALFORMED);
    Account *config = &c->accounts[1];
    u64 window = rd64(c->data + 8);
    TRY(authorized(&c->accounts[0], config, CONFIG_SUBMITTER));
    TRY(has_ended(config, window));
    Sums sums = {0, 0, 0, 0};
    for (u64 i = 0; i < meters; i++) {
        const u8 *reading = c->data + 20 + 8 * i;
        TRY(count(c, &c->accounts[2 + i], window, rd32(reading), rd32(reading + 4), &sums));
    }
    if (sums.repeated) LOG("counted before");
    u8 event[40];
    wr64(event, EVENT_READINGS_ACCEPTED);
    wr64(event + 8, window);
    wr32(event + 16, sums.accepted);
    wr32(event + 20, sums.repeated);
    wr64(event + 24, sums.produced_wh);
    wr64(event + 32, sums.consumed_wh);
    return emit(event, sizeof event);
}

static u64 record_batch(Context *c) {
    TRY(expect(c, 4, RECORD_BATCH_ARGS));
    Account *submitter = &c->accounts[0], *config = &c->accounts[1], *page = &c->accounts[2];
    u64 window = rd64(c->data + 8), number = window / PAGE_WINDOWS;
    u16 version = rd16(c->data + 16);
    u32 leaves = rd32(c->data + 18);
    const u8 *root = c->data + 22;
    TRY(authorized(submitter, config, CONFIG_SUBMITTER));
    NEED(submitter->is_writable && page->is_writable, NOT_WRITABLE);
    NEED(version > 0, ERROR_INVALID_VERSION);
    TRY(has_ended(config, window));
    u8 *d = page->data;
    if (equal32(page->owner, c->program_id)) {
        TRY(holds(page, c->program_id, ACCOUNT_BATCH_PAGE, BATCH_PAGE_LEN));
        NEED(rd64(d + BATCH_PAGE_NUMBER) == number, WRONG_SEEDS);
    } else {
        u8 bump, seed[8];
        wr64(seed, number);
        New new = {submitter, page, &c->accounts[3], LABEL("page"), (Bytes){seed, 8}, BATCH_PAGE_LEN};
        TRY(create(c, &new, c->program_id, &bump));
        wr64(d, ACCOUNT_BATCH_PAGE);
        wr64(d + BATCH_PAGE_NUMBER, number);
        d[BATCH_PAGE_BUMP] = bump;
    }
    u8 *batch = d + BATCH_PAGE_BATCHES + window % PAGE_WINDOWS * 38; // version, leaves, root
    NEED(version >= rd16(batch), ERROR_BATCH_SUPERSEDED);
    if (version == rd16(batch)) {
        NEED(rd32(batch + 2) == leaves && equal32(batch + 6, root), ERROR_BATCH_CONFLICT);
        LOG("recorded before");
        return 0;
    }
    wr16(batch, version);
    wr32(batch + 2, leaves);
    copy32(batch + 6, root);
    u8 event[54];
    wr64(event, EVENT_BATCH_RECORDED);
    wr64(event + 8, window);
    wr16(event + 16, version);
    wr32(event + 18, leaves);
    copy32(event + 22, root);
    return emit(event, sizeof event);
}

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
    TRY(enter(input));
    Context *c = CONTEXT;
    switch (rd64(c->data)) {
    case IX_SYNC_METER: LOG("Instruction: SyncMeter"); return sync_meter(c);
    case IX_SUBMIT_ENERGY_READING: LOG("Instruction: SubmitEnergyReading"); return submit_energy_reading(c);
    case IX_SUBMIT_ENERGY_READINGS: LOG("Instruction: SubmitEnergyReadings"); return submit_energy_readings(c);
    case IX_RECORD_BATCH: LOG("Instruction: RecordBatch"); return record_batch(c);
    }
    return INSTRUCTION_UNKNOWN;
}
