// Checks and steps the programs share. Codes below 6000 are Anchor's own, with Anchor's meaning.
#pragma once
#include "idl.h"
#include "sol.h"

enum {
    INSTRUCTION_MISSING = 100,
    INSTRUCTION_UNKNOWN = 101,
    INSTRUCTION_MALFORMED = 102,
    NOT_WRITABLE = 2000,
    WRONG_SEEDS = 2006,
    DUPLICATE_ACCOUNT = 2040,
    WRONG_DISCRIMINATOR = 3002,
    NOT_ENOUGH_KEYS = 3005,
    WRONG_OWNER = 3007,
    WRONG_PROGRAM = 3008,
    NOT_SIGNER = 3010,
};

#define CLOCK_SKEW_S 60

static const u8 SYSTEM_PROGRAM[32] = {0};

// Everything that holds for every instruction, before it is looked at.
INLINE u64 enter(u8 *input) {
    Context *c = CONTEXT;
    NEED(parse(input, c), NOT_ENOUGH_KEYS);
    NEED(!c->duplicated, DUPLICATE_ACCOUNT);
    NEED(c->data_len >= 8, INSTRUCTION_MISSING);
    return 0;
}

INLINE u64 expect(const Context *c, u64 accounts, u64 args_len) {
    NEED(c->count == accounts, NOT_ENOUGH_KEYS);
    NEED(c->data_len == 8 + args_len, INSTRUCTION_MALFORMED);
    return 0;
}

// An account of `owner` with exactly this layout. Each program makes such accounts at their PDA alone, so owner and
// discriminator say that the address is right; which one of them it is, its own fields say.
INLINE u64 holds(const Account *a, const u8 *owner, u64 discriminator, u64 len) {
    NEED(equal32(a->owner, owner), WRONG_OWNER);
    NEED(a->data_len == len && rd64(a->data) == discriminator, WRONG_DISCRIMINATOR);
    return 0;
}

INLINE u64 is_config(const Account *config) {
    return holds(config, opaque(GOVERNANCE_ID), ACCOUNT_CONFIG, CONFIG_LEN);
}

// `signer` holds the role whose key lies at `role` in the configuration, and nothing is paused.
INLINE u64 authorized(const Account *signer, const Account *config, u64 role) {
    NEED(signer->is_signer, NOT_SIGNER);
    TRY(is_config(config));
    NEED(equal32(signer->key, config->data + role), ERROR_UNAUTHORIZED);
#ifdef ERROR_PAUSED // governance itself works while the others are paused
    NEED(!config->data[CONFIG_PAUSED], ERROR_PAUSED);
#endif
    return 0;
}

#ifdef ERROR_FUTURE_WINDOW
// A window counts when it has ended, by the chain's clock and what a meter's clock may be ahead of it.
INLINE u64 has_ended(const Account *config, u64 window) {
    Clock clock;
    TRY(sol_get_clock_sysvar(&clock));
    NEED(window < (u64)(clock.unix_timestamp + CLOCK_SKEW_S) / rd32(config->data + CONFIG_WINDOW_SECONDS), ERROR_FUTURE_WINDOW);
    return 0;
}
#endif

INLINE u64 emit(const u8 *event, u64 len) {
    Bytes field = {event, len};
    sol_log_data(&field, 1);
    return 0;
}

// An account to be made. A BPF function takes at most five arguments.
typedef struct {
    Account *payer, *account;
    const Account *system;
    Bytes label, id; // seeds; `id` may be NO_ID
    u64 len;         // bytes of data
} New;

// Makes the account one of `owner` with zero bytes, rent exempt at the cost of the payer. Lamports that somebody sent to
// the address before do not stop it, as they would stop the system program's CreateAccount.
static __attribute__((noinline)) u64 allocate(Context *c, const New *new, const SignerSeeds *seeds, const u8 *owner) {
    Account *payer = new->payer, *account = new->account;
    Rent rent;
    TRY(sol_get_rent_sysvar(&rent));
    // The threshold is the double 2.0 years, or 1.0 since rent is no longer collected.
    u64 needed = (new->len + 128) * rent.lamports_per_byte;
    if (rent.exemption_threshold_bits == 0x4000000000000000ULL) needed *= 2;
    Meta metas[2] = {{payer->key, 1, 1}, {account->key, 1, 0}};
    u8 data[36];
    if (*account->lamports < needed) {
        wr32(data, 2); // Transfer
        wr64(data + 4, needed - *account->lamports);
        Instruction fund = {SYSTEM_PROGRAM, metas, 2, data, 12};
        TRY(sol_invoke_signed_c(&fund, c->accounts, c->count, seeds, 1));
    }
    metas[1].is_signer = 1;
    wr32(data, 8); // Allocate
    wr64(data + 4, new->len);
    Instruction grow = {SYSTEM_PROGRAM, metas + 1, 1, data, 12};
    TRY(sol_invoke_signed_c(&grow, c->accounts, c->count, seeds, 1));
    account->data_len = new->len;
    wr32(data, 1); // Assign
    copy32(data + 4, owner);
    Instruction assign = {SYSTEM_PROGRAM, metas + 1, 1, data, 36};
    return sol_invoke_signed_c(&assign, c->accounts, c->count, seeds, 1);
}

// Creates the account for `owner` at this program's canonical PDA of the seeds. The bump goes to `bump`.
static __attribute__((noinline)) u64 create(Context *c, const New *new, const u8 *owner, u8 *bump) {
    Account *account = new->account;
    Bytes seeds[3] = {new->label, new->id, new->id};
    u64 count = new->id.addr ? 2 : 1;
    u8 address[32];
    NEED(equal32(new->system->key, SYSTEM_PROGRAM), WRONG_PROGRAM);
    NEED(sol_try_find_program_address(seeds, count, c->program_id, address, bump) == 0, WRONG_SEEDS);
    NEED(equal32(address, account->key), WRONG_SEEDS);
    NEED(equal32(account->owner, SYSTEM_PROGRAM) && account->data_len == 0, WRONG_OWNER);
    seeds[count] = (Bytes){bump, 1};
    SignerSeeds signer = {seeds, count + 1};
    return allocate(c, new, &signer, owner);
}

#define LABEL(text) ((Bytes){(const u8 *)text, sizeof(text) - 1})
#define NO_ID ((Bytes){0, 0})
