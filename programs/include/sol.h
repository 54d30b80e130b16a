// The part of the Solana program ABI these programs use: aligned serialization, sBPF v3, C layouts of the CPI syscalls.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define INLINE static inline __attribute__((always_inline))
#define NEED(condition, code) do { if (!(condition)) return (code); } while (0)
#define TRY(call) do { u64 code_ = (call); if (code_) return code_; } while (0)

// A transaction locks at most 64 accounts, so no instruction can name more distinct ones.
#define MAX_ACCOUNTS 64
#define MAX_GROWTH 10240

// == SolAccountInfo of the C ABI.
typedef struct {
    u8 *key;
    u64 *lamports;
    u64 data_len;
    u8 *data;
    u8 *owner;
    u64 rent_epoch;
    u8 is_signer, is_writable, executable;
} Account;

// == SolAccountMeta, SolInstruction, SolSignerSeed(s) and SolBytes.
typedef struct { const u8 *key; u8 is_writable, is_signer; } Meta;
typedef struct { const u8 *program_id; const Meta *accounts; u64 accounts_len; const u8 *data; u64 data_len; } Instruction;
typedef struct { const u8 *addr; u64 len; } Bytes;
typedef struct { const Bytes *addr; u64 len; } SignerSeeds;

typedef struct { u64 slot; i64 epoch_start; u64 epoch, leader_schedule_epoch; i64 unix_timestamp; } Clock;
typedef struct { u64 lamports_per_byte, exemption_threshold_bits; u64 burn_percent; } Rent;

typedef struct {
    Account accounts[MAX_ACCOUNTS];
    u64 count;
    u64 duplicated; // 1 where an account is named twice
    const u8 *data;
    u64 data_len;
    const u8 *program_id;
} Context;

// Syscalls. Undefined on purpose: the linker resolves them.
extern void sol_log_(const char *text, u64 len);
extern void sol_log_data(const Bytes *fields, u64 count);
extern u64 sol_invoke_signed_c(const Instruction *, const Account *, u64 count, const SignerSeeds *, u64 signers);
extern u64 sol_try_find_program_address(const Bytes *seeds, u64 count, const u8 *program_id, u8 *address, u8 *bump);
extern u64 sol_get_clock_sysvar(Clock *);
extern u64 sol_get_rent_sysvar(Rent *);
extern void sol_memset_(u8 *at, u8 octet, u64 len);
extern u64 sol_sha256(const Bytes *fields, u64 count, u8 *digest);

#define LOG(text) sol_log_(text, sizeof(text) - 1)

// The VM allows unaligned access; without the promise of alignment LLVM moves every word byte by byte.
#define ALIGNED(pointer) __builtin_assume_aligned(pointer, 8)
INLINE u64 rd64(const u8 *p) { u64 v; __builtin_memcpy(&v, ALIGNED(p), 8); return v; }
INLINE u32 rd32(const u8 *p) { u32 v; __builtin_memcpy(&v, ALIGNED(p), 4); return v; }
INLINE u16 rd16(const u8 *p) { u16 v; __builtin_memcpy(&v, ALIGNED(p), 2); return v; }
INLINE void wr64(u8 *p, u64 v) { __builtin_memcpy(ALIGNED(p), &v, 8); }
INLINE void wr32(u8 *p, u32 v) { __builtin_memcpy(ALIGNED(p), &v, 4); }
INLINE void wr16(u8 *p, u16 v) { __builtin_memcpy(ALIGNED(p), &v, 2); }

// Keeps LLVM from folding a constant's bytes into instructions: they stay in read-only data, whole and in one place.
INLINE const u8 *opaque(const u8 *p) { __asm__("" : "+r"(p)); return p; }

INLINE int equal32(const u8 *a, const u8 *b) {
    return rd64(a) == rd64(b) && rd64(a + 8) == rd64(b + 8) && rd64(a + 16) == rd64(b + 16) && rd64(a + 24) == rd64(b + 24);
}
INLINE int zero32(const u8 *a) { return (rd64(a) | rd64(a + 8) | rd64(a + 16) | rd64(a + 24)) == 0; }
INLINE void copy32(u8 *to, const u8 *from) {
    wr64(to, rd64(from));
    wr64(to + 8, rd64(from + 8));
    wr64(to + 16, rd64(from + 16));
    wr64(to + 24, rd64(from + 24));
}

// The context lies on the VM's heap, zeroed at the start of each instruction: it nearly fills a frame of 4,096 bytes.
#define CONTEXT ((Context *)0x300000000ULL)

// Reads the serialized input. False where more accounts are named than can be held.
INLINE int parse(u8 *input, Context *c) {
    u64 count = rd64(input);
    u8 *at = input + 8;
    if (count > MAX_ACCOUNTS) return 0;
    for (u64 i = 0; i < count; i++) {
        Account *a = &c->accounts[i];
        if (*at != 0xff) { // an index of the earlier account instead of a record
            c->duplicated = 1;
            *a = c->accounts[*at];
            at += 8;
            continue;
        }
        a->is_signer = at[1];
        a->is_writable = at[2];
        a->executable = at[3];
        a->key = at + 8;
        a->owner = at + 40;
        a->lamports = (u64 *)(at + 72);
        a->data_len = rd64(at + 80);
        a->data = at + 88;
        at = a->data + ((a->data_len + MAX_GROWTH + 7) & ~7ULL);
        a->rent_epoch = rd64(at);
        at += 8;
    }
    c->count = count;
    c->data_len = rd64(at);
    c->data = at + 8;
    c->program_id = at + 8 + c->data_len;
    return 1;
}
