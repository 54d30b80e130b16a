// Energy tokens: GRID and REC, minted against what the oracle accepted as generation. See idl.json for the accounts.
#include "once.h"
#include "token.h"

enum { MINT_TO_CHECKED = 14, BURN_CHECKED = 15, INITIALIZE_MINT2 = 20 };
enum { CAPACITY = 128 }; // mints and retirements that a ledger remembers

// One mint at the PDA of `label`, with the issuer as its authority and nobody who can freeze.
static u64 make_mint(Context *c, Account *mint, Bytes label, u8 decimals) {
    u8 bump, data[35];
    New new = {&c->accounts[0], mint, &c->accounts[6], label, NO_ID, MINT_LEN};
    TRY(create(c, &new, TOKEN_PROGRAM, &bump));
    data[0] = INITIALIZE_MINT2;
    data[1] = decimals;
    copy32(data + 2, c->accounts[2].key);
    data[34] = 0;
    Meta meta = {mint->key, 1, 0};
    Instruction ix = {TOKEN_PROGRAM, &meta, 1, data, sizeof data};
    return sol_invoke_signed_c(&ix, c->accounts, c->count, 0, 0);
}

static u64 initialize(Context *c) {
    TRY(expect(c, 7, INITIALIZE_ARGS));
    Account *a = c->accounts, *issuer = &a[2];
    TRY(authorized(&a[0], &a[1], CONFIG_AUTHORITY));
    NEED(a[0].is_writable && issuer->is_writable && a[3].is_writable && a[4].is_writable, NOT_WRITABLE);
    NEED(!equal32(issuer->owner, c->program_id), ERROR_ALREADY_INITIALIZED);
    NEED(equal32(a[5].key, TOKEN_PROGRAM), WRONG_PROGRAM);
    u8 bump;
    New new = {&a[0], issuer, &a[6], LABEL("issuer"), NO_ID, ISSUER_LEN};
    TRY(create(c, &new, c->program_id, &bump));
    TRY(make_mint(c, &a[3], LABEL("grid"), GRID_DECIMALS));
    TRY(make_mint(c, &a[4], LABEL("rec"), REC_DECIMALS));
    u8 *d = issuer->data;
    wr64(d, ACCOUNT_ISSUER);
    copy32(d + ISSUER_GRID_MINT, a[3].key);
    copy32(d + ISSUER_REC_MINT, a[4].key);
    d[ISSUER_BUMP] = bump;
    return 0;
}

static u64 open_ledger(Context *c) {
    TRY(expect(c, 4, OPEN_LEDGER_ARGS));
    Account *payer = &c->accounts[0], *meter = &c->accounts[1], *ledger = &c->accounts[2];
    NEED(payer->is_signer, NOT_SIGNER);
    NEED(payer->is_writable && ledger->is_writable, NOT_WRITABLE);
    TRY(holds(meter, opaque(REGISTRY_ID), ACCOUNT_METER, METER_LEN));
    const u8 *meter_id = meter->data + METER_METER_ID;
    u8 *d = ledger->data;
    if (equal32(ledger->owner, c->program_id)) {
        TRY(holds(ledger, c->program_id, ACCOUNT_TOKEN_LEDGER, TOKEN_LEDGER_LEN));
        NEED(equal32(d + TOKEN_LEDGER_METER_ID, meter_id), ERROR_INVALID_METER);
        LOG("opened before");
        return 0;
    }
    u8 bump;
    New new = {payer, ledger, &c->accounts[3], LABEL("ledger"), {meter_id, 32}, TOKEN_LEDGER_LEN};
    TRY(create(c, &new, c->program_id, &bump));
    wr64(d, ACCOUNT_TOKEN_LEDGER);
    copy32(d + TOKEN_LEDGER_METER_ID, meter_id);
    d[TOKEN_LEDGER_BUMP] = bump;
    return 0;
}

// What minting and retiring for a meter are about.
typedef struct {
    u64 role, mint; // offsets in the configuration of who may, in the issuer of the mint
    const Account *meter, *ledger, *token, *held, *token_program;
} Parts;

static __attribute__((noinline)) u64 belong(const Context *c, const Parts *p) {
    const Account *a = c->accounts, *issuer = &a[2];
    TRY(authorized(&a[0], &a[1], p->role));
    TRY(holds(issuer, c->program_id, ACCOUNT_ISSUER, ISSUER_LEN));
    TRY(holds(p->meter, opaque(REGISTRY_ID), ACCOUNT_METER, METER_LEN));
    NEED(p->ledger->is_writable && p->token->is_writable, NOT_WRITABLE);
    TRY(holds(p->ledger, c->program_id, ACCOUNT_TOKEN_LEDGER, TOKEN_LEDGER_LEN));
    NEED(equal32(p->token_program->key, TOKEN_PROGRAM), WRONG_PROGRAM);
    NEED(equal32(p->meter->data + METER_METER_ID, p->ledger->data + TOKEN_LEDGER_METER_ID), ERROR_INVALID_METER);
    NEED(equal32(p->token->key, issuer->data + p->mint), ERROR_INVALID_MINT);
    return is_token_account(p->held, p->token->key, p->meter->data + METER_OWNER);
}

// Enters what the instruction does in the ledger, once: that it was there, `repeated` says. Its id are the discriminator
// and the first `id_len` bytes of the arguments: ids of GRID, of REC and of retirements are apart. Where the instruction is
// refused afterwards, the entry goes with it.
static __attribute__((noinline)) u64 enter_once(const Context *c, u8 *ledger, u64 window, u64 id_len, u64 *repeated) {
    Deed deed = {window, {0}, {0}};
    Bytes id = {c->data, 8 + id_len}, whole = {c->data, c->data_len};
    sol_sha256(&id, 1, deed.id);
    sol_sha256(&whole, 1, deed.content);
    u64 known = look_up(ledger + TOKEN_LEDGER_FLOOR, CAPACITY, &deed);
    NEED(known != TOO_OLD, ERROR_WINDOW_TOO_OLD);
    NEED(known != CONFLICT, ERROR_MINT_CONFLICT);
    *repeated = known == DONE_BEFORE;
    if (known == NEW) enter_deed(ledger + TOKEN_LEDGER_FLOOR, CAPACITY, &deed);
    return 0;
}

static u64 call_as_issuer(Context *c, const TokenCall *call) {
    Bytes seeds[2] = {LABEL("issuer"), {c->accounts[2].data + ISSUER_BUMP, 1}};
    SignerSeeds signer = {seeds, 2};
    return call_token(c, call, &signer);
}

typedef struct {
    u64 role;   // offset in the configuration of who may
    u64 mint;   // offset in the issuer of what is minted
    u64 total;  // offset in the ledger of its sum
    u64 id_len; // bytes of the arguments, from the first, that are the id
    u64 first_window, last_window, energy_wh;
    u8 decimals;
} Order;

static __attribute__((noinline)) u64 mint(Context *c, const Order *order, u64 *repeated) {
    Account *a = c->accounts, *issuer = &a[2], *meter = &a[3], *state = &a[4], *ledger = &a[5];
    Parts parts = {order->role, order->mint, meter, ledger, &a[6], &a[7], &a[8]};
    TRY(belong(c, &parts));
    TRY(holds(state, opaque(ORACLE_ID), ACCOUNT_METER_STATE, METER_STATE_LEN));
    NEED(equal32(state->data + METER_STATE_METER_ID, meter->data + METER_METER_ID), ERROR_INVALID_METER);
    u8 *d = ledger->data;
    NEED(order->energy_wh > 0 && order->first_window <= order->last_window, ERROR_OUT_OF_RANGE);

    TRY(enter_once(c, d, order->last_window, order->id_len, repeated));
    if (*repeated) {
        LOG("minted before");
        return 0;
    }
    NEED(order->last_window <= rd64(state->data + METER_STATE_NEWEST_WINDOW), ERROR_NOT_ACCEPTED);
    // Energy and the certificate of how it was made are two things: each has what was produced as its own bound. What was
    // minted never exceeds it, so the difference is none below 0 and the sum none above 64 bits.
    u64 minted = rd64(d + order->total);
    NEED(order->energy_wh <= rd64(state->data + METER_STATE_PRODUCED_WH) - minted, ERROR_EXCEEDS_GENERATION);
    wr64(d + order->total, minted + order->energy_wh);
    Meta metas[3] = {{a[6].key, 1, 0}, {a[7].key, 1, 0}, {issuer->key, 0, 1}};
    TokenCall call = {metas, 3, order->energy_wh, MINT_TO_CHECKED, order->decimals};
    return call_as_issuer(c, &call);
}

static u64 mint_grid(Context *c) {
    TRY(expect(c, 9, MINT_GRID_ARGS));
    u64 window = rd64(c->data + 8), energy_wh = rd64(c->data + 16), repeated = 0;
    Order order = {CONFIG_SUBMITTER, ISSUER_GRID_MINT, TOKEN_LEDGER_GRID_WH, 8, window, window, energy_wh, GRID_DECIMALS};
    TRY(mint(c, &order, &repeated));
    if (repeated) return 0;
    u8 event[56];
    wr64(event, EVENT_GRID_MINTED);
    copy32(event + 8, c->accounts[3].data + METER_METER_ID);
    wr64(event + 40, window);
    wr64(event + 48, energy_wh);
    return emit(event, sizeof event);
}

static u64 mint_rec(Context *c) {
    TRY(expect(c, 9, MINT_REC_ARGS));
    u64 first = rd64(c->data + 40), last = rd64(c->data + 48), energy_wh = rd64(c->data + 56), repeated = 0;
    Order order = {CONFIG_CERTIFIER, ISSUER_REC_MINT, TOKEN_LEDGER_REC_WH, 32, first, last, energy_wh, REC_DECIMALS};
    TRY(mint(c, &order, &repeated));
    if (repeated) return 0;
    u8 event[96];
    wr64(event, EVENT_REC_MINTED);
    copy32(event + 8, c->accounts[3].data + METER_METER_ID);
    copy32(event + 40, c->data + 8);
    wr64(event + 72, first);
    wr64(event + 80, last);
    wr64(event + 88, energy_wh);
    return emit(event, sizeof event);
}

static u64 retire(Context *c) {
    TRY(expect(c, 5, RETIRE_ARGS));
    Account *a = c->accounts, *holder = &a[0], *issuer = &a[1];
    u64 energy_wh = rd64(c->data + 8);
    NEED(holder->is_signer, NOT_SIGNER);
    TRY(holds(issuer, c->program_id, ACCOUNT_ISSUER, ISSUER_LEN));
    NEED(a[2].is_writable, NOT_WRITABLE);
    NEED(equal32(a[4].key, TOKEN_PROGRAM), WRONG_PROGRAM);
    NEED(equal32(a[2].key, issuer->data + ISSUER_REC_MINT), ERROR_INVALID_MINT);
    TRY(is_token_account(&a[3], a[2].key, holder->key));
    NEED(energy_wh > 0, ERROR_OUT_OF_RANGE);
    Meta metas[3] = {{a[3].key, 1, 0}, {a[2].key, 1, 0}, {holder->key, 0, 1}};
    TokenCall call = {metas, 3, energy_wh, BURN_CHECKED, REC_DECIMALS};
    TRY(call_token(c, &call, 0));
    u8 event[80];
    wr64(event, EVENT_REC_RETIRED);
    copy32(event + 8, holder->key);
    wr64(event + 40, energy_wh);
    copy32(event + 48, c->data + 16);
    return emit(event, sizeof event);
}

// The certifier's: the issuer burns as the delegate that the meter's owner approved.
static u64 retire_for(Context *c) {
    TRY(expect(c, 8, RETIRE_FOR_ARGS));
    Account *a = c->accounts, *ledger = &a[4];
    u64 window = rd64(c->data + 40), energy_wh = rd64(c->data + 48), repeated = 0;
    Parts parts = {CONFIG_CERTIFIER, ISSUER_REC_MINT, &a[3], ledger, &a[5], &a[6], &a[7]};
    TRY(belong(c, &parts));
    NEED(energy_wh > 0, ERROR_OUT_OF_RANGE);
    TRY(has_ended(&a[1], window));
    u8 *d = ledger->data;
    TRY(enter_once(c, d, window, 32, &repeated));
    if (repeated) {
        LOG("retired before");
        return 0;
    }
    u64 retired = rd64(d + TOKEN_LEDGER_RETIRED_WH);
    NEED(energy_wh <= rd64(d + TOKEN_LEDGER_REC_WH) - retired, ERROR_EXCEEDS_MINTED);
    wr64(d + TOKEN_LEDGER_RETIRED_WH, retired + energy_wh);
    Meta metas[3] = {{a[6].key, 1, 0}, {a[5].key, 1, 0}, {a[2].key, 0, 1}};
    TokenCall call = {metas, 3, energy_wh, BURN_CHECKED, REC_DECIMALS};
    TRY(call_as_issuer(c, &call));
    u8 event[88];
    wr64(event, EVENT_REC_RETIRED_FOR);
    copy32(event + 8, a[3].data + METER_METER_ID);
    copy32(event + 40, c->data + 8);
    wr64(event + 72, window);
    wr64(event + 80, energy_wh);
    return emit(event, sizeof event);
}

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
    TRY(enter(input));
    Context *c = CONTEXT;
    switch (rd64(c->data)) {
    case IX_INITIALIZE: LOG("Instruction: Initialize"); return initialize(c);
    case IX_OPEN_LEDGER: LOG("Instruction: OpenLedger"); return open_ledger(c);
    case IX_MINT_GRID: LOG("Instruction: MintGrid"); return mint_grid(c);
    case IX_MINT_REC: LOG("Instruction: MintRec"); return mint_rec(c);
    case IX_RETIRE: LOG("Instruction: Retire"); return retire(c);
    case IX_RETIRE_FOR: LOG("Instruction: RetireFor"); return retire_for(c);
    }
    return INSTRUCTION_UNKNOWN;
}
