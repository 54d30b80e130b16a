// Trading: energy and its price move together. See idl.json for the accounts.
#include "once.h"
#include "token.h"

#define TRANSFER_CHECKED 12

static u64 is_mint(const Account *mint, u8 decimals) {
    NEED(equal32(mint->owner, TOKEN_PROGRAM), WRONG_OWNER);
    // Extensions could take a fee, call a hook or move tokens otherwise.
    NEED(mint->data_len == MINT_LEN && mint->data[MINT_DECIMALS] == decimals, ERROR_INVALID_MINT);
    return 0;
}

static u64 open_market(Context *c) {
    TRY(expect(c, 6, OPEN_MARKET_ARGS));
    Account *authority = &c->accounts[0], *market = &c->accounts[2];
    TRY(authorized(authority, &c->accounts[1], CONFIG_AUTHORITY));
    NEED(authority->is_writable && market->is_writable, NOT_WRITABLE);
    NEED(!equal32(market->owner, c->program_id), ERROR_ALREADY_INITIALIZED);
    TRY(is_mint(&c->accounts[3], GRID_DECIMALS));
    TRY(is_mint(&c->accounts[4], CURRENCY_DECIMALS));
    u8 bump;
    New new = {authority, market, &c->accounts[5], LABEL("market"), NO_ID, MARKET_LEN};
    TRY(create(c, &new, c->program_id, &bump));
    u8 *d = market->data;
    wr64(d, ACCOUNT_MARKET);
    copy32(d + MARKET_GRID_MINT, c->accounts[3].key);
    copy32(d + MARKET_CURRENCY_MINT, c->accounts[4].key);
    d[MARKET_BUMP] = bump;
    return 0;
}

static u64 open_book(Context *c) {
    TRY(expect(c, 5, OPEN_BOOK_ARGS));
    Account *submitter = &c->accounts[0], *seller = &c->accounts[2], *book = &c->accounts[3];
    TRY(authorized(submitter, &c->accounts[1], CONFIG_SUBMITTER));
    NEED(submitter->is_writable && book->is_writable, NOT_WRITABLE);
    u8 *d = book->data;
    if (equal32(book->owner, c->program_id)) {
        TRY(holds(book, c->program_id, ACCOUNT_TRADE_BOOK, TRADE_BOOK_LEN));
        NEED(equal32(d + TRADE_BOOK_SELLER, seller->key), WRONG_SEEDS);
        LOG("opened before");
        return 0;
    }
    u8 bump;
    New new = {submitter, book, &c->accounts[4], LABEL("book"), {seller->key, 32}, TRADE_BOOK_LEN};
    TRY(create(c, &new, c->program_id, &bump));
    wr64(d, ACCOUNT_TRADE_BOOK);
    copy32(d + TRADE_BOOK_SELLER, seller->key);
    d[TRADE_BOOK_BUMP] = bump;
    return 0;
}

// Both movements, signed by the market as the delegate of both sides.
static __attribute__((noinline)) u64 exchange(Context *c, u64 energy_wh, u64 amount_micro) {
    Account *a = c->accounts, *market = &a[2];
    Bytes seeds[2] = {LABEL("market"), {market->data + MARKET_BUMP, 1}};
    SignerSeeds signer = {seeds, 2};
    Meta energy[4] = {{a[4].key, 1, 0}, {a[8].key, 0, 0}, {a[5].key, 1, 0}, {market->key, 0, 1}};
    TokenCall call = {energy, 4, energy_wh, TRANSFER_CHECKED, GRID_DECIMALS};
    TRY(call_token(c, &call, &signer));
    Meta payment[4] = {{a[7].key, 1, 0}, {a[9].key, 0, 0}, {a[6].key, 1, 0}, {market->key, 0, 1}};
    call = (TokenCall){payment, 4, amount_micro, TRANSFER_CHECKED, CURRENCY_DECIMALS};
    return call_token(c, &call, &signer);
}

static u64 execute_trade(Context *c) {
    TRY(expect(c, 11, EXECUTE_TRADE_ARGS));
    Account *a = c->accounts, *config = &a[1], *market = &a[2], *book = &a[3];
    const u8 *trade_id = c->data + 8;
    u64 window = rd64(c->data + 40), energy_wh = rd64(c->data + 48), price = rd64(c->data + 56);
    TRY(authorized(&a[0], config, CONFIG_SUBMITTER));
    TRY(holds(market, c->program_id, ACCOUNT_MARKET, MARKET_LEN));
    NEED(book->is_writable, NOT_WRITABLE);
    TRY(holds(book, c->program_id, ACCOUNT_TRADE_BOOK, TRADE_BOOK_LEN));
    NEED(equal32(a[10].key, TOKEN_PROGRAM), WRONG_PROGRAM);
    const u8 *grid = market->data + MARKET_GRID_MINT, *currency = market->data + MARKET_CURRENCY_MINT;
    NEED(equal32(a[8].key, grid) && equal32(a[9].key, currency), ERROR_INVALID_MINT);
    const u8 *seller = book->data + TRADE_BOOK_SELLER, *buyer = a[5].data + TOKEN_OWNER;
    TRY(is_token_account(&a[4], grid, seller));
    TRY(is_token_account(&a[6], currency, seller));
    // The buyer is who owns the account that receives the energy, once that is known to be a token account at all.
    NEED(a[5].data_len >= TOKEN_LEN, ERROR_INVALID_TOKEN_ACCOUNT);
    TRY(is_token_account(&a[5], grid, buyer));
    TRY(is_token_account(&a[7], currency, buyer));
    NEED(!equal32(buyer, seller), ERROR_SELF_TRADE);
    NEED(energy_wh > 0 && energy_wh >> 32 == 0 && price >> 31 == 0, ERROR_OUT_OF_RANGE);
    TRY(has_ended(config, window));

    Deed deed = {window, {0}, {0}};
    Bytes content[2] = {{trade_id, EXECUTE_TRADE_ARGS}, {buyer, 32}};
    sol_sha256(&(Bytes){trade_id, 32}, 1, deed.id);
    sol_sha256(content, 2, deed.content);
    u64 known = look_up(book->data + TRADE_BOOK_FLOOR, &deed);
    NEED(known != TOO_OLD, ERROR_WINDOW_TOO_OLD);
    NEED(known != CONFLICT, ERROR_TRADE_CONFLICT);
    if (known == DONE_BEFORE) {
        LOG("executed before");
        return 0;
    }
    enter_deed(book->data + TRADE_BOOK_FLOOR, &deed);
    u64 amount_micro = (energy_wh * price + 500) / 1000;
    TRY(exchange(c, energy_wh, amount_micro));
    u8 event[136];
    wr64(event, EVENT_TRADE_EXECUTED);
    copy32(event + 8, trade_id);
    wr64(event + 40, window);
    copy32(event + 48, seller);
    copy32(event + 80, buyer);
    wr64(event + 112, energy_wh);
    wr64(event + 120, price);
    wr64(event + 128, amount_micro);
    return emit(event, sizeof event);
}

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
    TRY(enter(input));
    Context *c = CONTEXT;
    switch (rd64(c->data)) {
    case IX_OPEN_MARKET: LOG("Instruction: OpenMarket"); return open_market(c);
    case IX_OPEN_BOOK: LOG("Instruction: OpenBook"); return open_book(c);
    case IX_EXECUTE_TRADE: LOG("Instruction: ExecuteTrade"); return execute_trade(c);
    }
    return INSTRUCTION_UNKNOWN;
}
