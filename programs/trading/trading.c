// Trading: energy and its price move together. See idl.json for the accounts.
#include "once.h"
#include "token.h"

#define TRANSFER_CHECKED 12

enum { BOOK_CAPACITY = 128, POSITION_CAPACITY = 16 }; // trades and settlements that are remembered

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

// Books and positions begin with whose they are and end with their bump.
_Static_assert(TRADE_BOOK_SELLER == 8 && POSITION_WALLET == 8, "the wallet comes first");
_Static_assert(TRADE_BOOK_BUMP == TRADE_BOOK_LEN - 1 && POSITION_BUMP == POSITION_LEN - 1, "the bump comes last");

// Opens the account of a wallet, `len` bytes that begin with `discriminator`.
static __attribute__((noinline)) u64 open_for(Context *c, Bytes label, u64 discriminator, u64 len) {
    TRY(expect(c, 5, 0));
    Account *submitter = &c->accounts[0], *wallet = &c->accounts[2], *account = &c->accounts[3];
    TRY(authorized(submitter, &c->accounts[1], CONFIG_SUBMITTER));
    NEED(submitter->is_writable && account->is_writable, NOT_WRITABLE);
    u8 *d = account->data;
    if (equal32(account->owner, c->program_id)) {
        TRY(holds(account, c->program_id, discriminator, len));
        NEED(equal32(d + 8, wallet->key), WRONG_SEEDS);
        LOG("opened before");
        return 0;
    }
    u8 bump;
    New new = {submitter, account, &c->accounts[4], label, {wallet->key, 32}, len};
    TRY(create(c, &new, c->program_id, &bump));
    wr64(d, discriminator);
    copy32(d + 8, wallet->key);
    d[len - 1] = bump;
    return 0;
}

// The accounts a trade and a settlement have at the same places belong together; the fourth begins with `discriminator`.
static __attribute__((noinline)) u64 belong(const Context *c, u64 discriminator, u64 len) {
    const Account *a = c->accounts, *market = &a[2];
    TRY(authorized(&a[0], &a[1], CONFIG_SUBMITTER));
    TRY(holds(market, c->program_id, ACCOUNT_MARKET, MARKET_LEN));
    NEED(a[3].is_writable, NOT_WRITABLE);
    TRY(holds(&a[3], c->program_id, discriminator, len));
    NEED(equal32(a[10].key, TOKEN_PROGRAM), WRONG_PROGRAM);
    const u8 *grid = market->data + MARKET_GRID_MINT, *currency = market->data + MARKET_CURRENCY_MINT;
    NEED(equal32(a[8].key, grid) && equal32(a[9].key, currency), ERROR_INVALID_MINT);
    return 0;
}

// Moves `amount` of the mint at account `mint`, by the market as the delegate or the owner of the account at `from`.
static __attribute__((noinline)) u64 move(Context *c, u64 mint, u64 from, u64 to, u64 amount) {
    Account *a = c->accounts, *market = &a[2];
    Bytes seeds[2] = {LABEL("market"), {market->data + MARKET_BUMP, 1}};
    SignerSeeds signer = {seeds, 2};
    Meta metas[4] = {{a[from].key, 1, 0}, {a[mint].key, 0, 0}, {a[to].key, 1, 0}, {market->key, 0, 1}};
    TokenCall call = {metas, 4, amount, TRANSFER_CHECKED, a[mint].data[MINT_DECIMALS]};
    return call_token(c, &call, &signer);
}

static u64 execute_trade(Context *c) {
    TRY(expect(c, 11, EXECUTE_TRADE_ARGS));
    Account *a = c->accounts, *config = &a[1], *market = &a[2], *book = &a[3];
    const u8 *trade_id = c->data + 8;
    u64 window = rd64(c->data + 40), energy_wh = rd64(c->data + 48), price = rd64(c->data + 56);
    TRY(belong(c, ACCOUNT_TRADE_BOOK, TRADE_BOOK_LEN));
    const u8 *grid = market->data + MARKET_GRID_MINT, *currency = market->data + MARKET_CURRENCY_MINT;
    const u8 *seller = book->data + TRADE_BOOK_SELLER, *buyer = a[5].data + TOKEN_OWNER;
    TRY(is_token_account(&a[4], grid, seller));
    TRY(is_token_account(&a[6], currency, seller));
    // The buyer is who owns the account that receives the energy, once that is known to be a token account at all.
    NEED(a[5].data_len >= TOKEN_LEN, ERROR_INVALID_TOKEN_ACCOUNT);
    TRY(is_token_account(&a[5], grid, buyer));
    TRY(is_token_account(&a[7], currency, buyer));
    NEED(!equal32(buyer, seller), ERROR_SELF_TRADE);
    // The market signs, so what is its own would move without anybody's approval.
    NEED(!equal32(buyer, market->key) && !equal32(seller, market->key), ERROR_SELF_TRADE);
    NEED(energy_wh > 0 && energy_wh >> 32 == 0 && price >> 31 == 0, ERROR_OUT_OF_RANGE);
    TRY(has_ended(config, window));

    Deed deed = {window, {0}, {0}};
    Bytes content[2] = {{trade_id, EXECUTE_TRADE_ARGS}, {buyer, 32}};
    sol_sha256(&(Bytes){trade_id, 32}, 1, deed.id);
    sol_sha256(content, 2, deed.content);
    u64 known = look_up(book->data + TRADE_BOOK_FLOOR, BOOK_CAPACITY, &deed);
    NEED(known != TOO_OLD, ERROR_WINDOW_TOO_OLD);
    NEED(known != CONFLICT, ERROR_TRADE_CONFLICT);
    if (known == DONE_BEFORE) {
        LOG("executed before");
        return 0;
    }
    enter_deed(book->data + TRADE_BOOK_FLOOR, BOOK_CAPACITY, &deed);
    u64 amount_micro = (energy_wh * price + 500) / 1000;
    TRY(move(c, 8, 4, 5, energy_wh));
    TRY(move(c, 9, 7, 6, amount_micro));
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

// Below 2^53 on either side of 0, what any reader of JSON can hold, and far from what overflows.
static int is_moderate(i64 amount) {
    return amount < 1LL << 53 && amount > -(1LL << 53);
}

// One side of a settlement: from the vault to the party, or back where the amount is negative.
static u64 pay(Context *c, u64 mint, u64 party, u64 vault, i64 amount) {
    if (amount > 0) return move(c, mint, vault, party, amount);
    if (amount < 0) return move(c, mint, party, vault, -amount);
    return 0;
}

static u64 settle_position(Context *c) {
    TRY(expect(c, 11, SETTLE_POSITION_ARGS));
    Account *a = c->accounts, *market = &a[2], *position = &a[3];
    const u8 *args = c->data + 8, *wallet = position->data + POSITION_WALLET;
    u64 first = rd64(args), last = rd64(args + 8);
    u32 number = rd32(args + 16);
    i64 energy_wh = (i64)rd64(args + 20), amount_micro = (i64)rd64(args + 28);
    TRY(belong(c, ACCOUNT_POSITION, POSITION_LEN));
    const u8 *grid = market->data + MARKET_GRID_MINT, *currency = market->data + MARKET_CURRENCY_MINT;
    TRY(is_token_account(&a[4], grid, wallet));
    TRY(is_token_account(&a[5], currency, wallet));
    TRY(is_token_account(&a[6], grid, market->key));
    TRY(is_token_account(&a[7], currency, market->key));
    NEED(!equal32(wallet, market->key), ERROR_SELF_TRADE);
    NEED(first <= last && number > 0 && (energy_wh || amount_micro), ERROR_OUT_OF_RANGE);
    NEED(is_moderate(energy_wh) && is_moderate(amount_micro), ERROR_OUT_OF_RANGE);
    TRY(has_ended(&a[1], last));

    Deed deed = {last, {0}, {0}};
    sol_sha256(&(Bytes){args + 8, 12}, 1, deed.id); // last window and number
    sol_sha256(&(Bytes){args, SETTLE_POSITION_ARGS}, 1, deed.content);
    u64 known = look_up(position->data + POSITION_FLOOR, POSITION_CAPACITY, &deed);
    NEED(known != TOO_OLD, ERROR_WINDOW_TOO_OLD);
    NEED(known != CONFLICT, ERROR_POSITION_CONFLICT);
    if (known == DONE_BEFORE) {
        LOG("settled before");
        return 0;
    }
    enter_deed(position->data + POSITION_FLOOR, POSITION_CAPACITY, &deed);
    TRY(pay(c, 8, 4, 6, energy_wh));
    TRY(pay(c, 9, 5, 7, amount_micro));
    u8 event[76];
    wr64(event, EVENT_POSITION_SETTLED);
    copy32(event + 8, wallet);
    wr64(event + 40, first);
    wr64(event + 48, last);
    wr32(event + 56, number);
    wr64(event + 60, (u64)energy_wh);
    wr64(event + 68, (u64)amount_micro);
    return emit(event, sizeof event);
}

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
    TRY(enter(input));
    Context *c = CONTEXT;
    switch (rd64(c->data)) {
    case IX_OPEN_MARKET: LOG("Instruction: OpenMarket"); return open_market(c);
    case IX_OPEN_BOOK: LOG("Instruction: OpenBook"); return open_for(c, LABEL("book"), ACCOUNT_TRADE_BOOK, TRADE_BOOK_LEN);
    case IX_EXECUTE_TRADE: LOG("Instruction: ExecuteTrade"); return execute_trade(c);
    case IX_OPEN_POSITION: LOG("Instruction: OpenPosition"); return open_for(c, LABEL("position"), ACCOUNT_POSITION, POSITION_LEN);
    case IX_SETTLE_POSITION: LOG("Instruction: SettlePosition"); return settle_position(c);
    }
    return INSTRUCTION_UNKNOWN;
}
