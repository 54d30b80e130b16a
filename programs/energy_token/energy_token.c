// Energy tokens: GRID and REC, minted against what the oracle accepted as generation. See idl.json for the accounts.
#include "once.h"
#include "token.h"

enum { MINT_TO_CHECKED = 14, BURN_CHECKED = 15, INITIALIZE_MINT2 = 20 };

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
    TRY(authorized(&a[0], &a[1], order->role));
    TRY(holds(issuer, c->program_id, ACCOUNT_ISSUER, ISSUER_LEN));
    TRY(holds(meter, opaque(REGISTRY_ID), ACCOUNT_METER, METER_LEN));
    TRY(holds(state, opaque(ORACLE_ID), ACCOUNT_METER_STATE, METER_STATE_LEN));
    NEED(ledger->is_writable && a[6].is_writable, NOT_WRITABLE);
    TRY(holds(ledger, c->program_id, ACCOUNT_TOKEN_LEDGER, TOKEN_LEDGER_LEN));
    NEED(equal32(a[8].key, TOKEN_PROGRAM), WRONG_PROGRAM);
    const u8 *meter_id = meter->data + METER_METER_ID, *token = issuer->data + order->mint;
    u8 *d = ledger->data;
    NEED(equal32(meter_id, state->data + METER_STATE_METER_ID) && equal32(meter_id, d + TOKEN_LEDGER_METER_ID), ERROR_INVALID_METER);
    NEED(equal32(a[6].key, token), ERROR_INVALID_MINT);
    TRY(is_token_account(&a[7], token, meter->data + METER_OWNER));
    NEED(order->energy_wh > 0 && order->first_window <= order->last_window, ERROR_OUT_OF_RANGE);

    Deed deed = {order->last_window, {0}, {0}};
    Bytes whole = {c->data, c->data_len}; // with the discriminator: ids of GRID and REC are apart
    sol_sha256(&(Bytes){c->data, 8 + order->id_len}, 1, deed.id);
    sol_sha256(&whole, 1, deed.content);
    u64 known = look_up(d + TOKEN_LEDGER_FLOOR, &deed);
    NEED(known != TOO_OLD, ERROR_WINDOW_TOO_OLD);
    NEED(known != CONFLICT, ERROR_MINT_CONFLICT);
    if (known == DONE_BEFORE) {
        LOG("minted before");
        *repeated = 1;
        return 0;
    }
    NEED(order->last_window <= rd64(state->data + METER_STATE_NEWEST_WINDOW), ERROR_NOT_ACCEPTED);
    // What was minted never exceeds what was produced, so no sum here can exceed 64 bits.
    u64 left = rd64(state->data + METER_STATE_PRODUCED_WH) - rd64(d + TOKEN_LEDGER_GRID_WH) - rd64(d + TOKEN_LEDGER_REC_WH);
    NEED(order->energy_wh <= left, ERROR_EXCEEDS_GENERATION);
    enter_deed(d + TOKEN_LEDGER_FLOOR, &deed);
    wr64(d + order->total, rd64(d + order->total) + order->energy_wh);
    Bytes seeds[2] = {LABEL("issuer"), {issuer->data + ISSUER_BUMP, 1}};
    SignerSeeds signer = {seeds, 2};
    Meta metas[3] = {{a[6].key, 1, 0}, {a[7].key, 1, 0}, {issuer->key, 0, 1}};
    TokenCall call = {metas, 3, order->energy_wh, MINT_TO_CHECKED, order->decimals};
    return call_token(c, &call, &signer);
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

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
    TRY(enter(input));
    Context *c = CONTEXT;
    switch (rd64(c->data)) {
    case IX_INITIALIZE: LOG("Instruction: Initialize"); return initialize(c);
    case IX_OPEN_LEDGER: LOG("Instruction: OpenLedger"); return open_ledger(c);
    case IX_MINT_GRID: LOG("Instruction: MintGrid"); return mint_grid(c);
    case IX_MINT_REC: LOG("Instruction: MintRec"); return mint_rec(c);
    case IX_RETIRE: LOG("Instruction: Retire"); return retire(c);
    }
    return INSTRUCTION_UNKNOWN;
}
