// Token-2022: layouts of its plain mints and accounts, and calls to it.
#pragma once
#include "guards.h"

enum { MINT_AUTHORITY = 4, MINT_DECIMALS = 44, MINT_LEN = 82 };
enum { TOKEN_MINT = 0, TOKEN_OWNER = 32, TOKEN_LEN = 165, TOKEN_KIND = 165, KIND_ACCOUNT = 2 };
enum { GRID_DECIMALS = 3, REC_DECIMALS = 6, CURRENCY_DECIMALS = 6 }; // a unit is 1 Wh, 1 Wh and 1 micro

static const u8 TOKEN_PROGRAM[32] = {6,   221, 246, 225, 238, 117, 143, 222, 24, 66, 93,  188, 228, 108, 205, 218,
                                     182, 26,  252, 77,  131, 185, 13,  39,  254, 189, 249, 40, 216, 161, 139, 252};

// A token account of `mint` that belongs to `wallet`.
static __attribute__((noinline)) u64 is_token_account(const Account *account, const u8 *mint, const u8 *wallet) {
    NEED(account->is_writable, NOT_WRITABLE);
    NEED(equal32(account->owner, TOKEN_PROGRAM), WRONG_OWNER);
    const u8 *d = account->data;
    // Without extensions an account has this length; with them, this mark after it.
    NEED(account->data_len == TOKEN_LEN || (account->data_len > TOKEN_KIND && d[TOKEN_KIND] == KIND_ACCOUNT), ERROR_INVALID_TOKEN_ACCOUNT);
    NEED(equal32(d + TOKEN_MINT, mint) && equal32(d + TOKEN_OWNER, wallet), ERROR_INVALID_TOKEN_ACCOUNT);
    return 0;
}

typedef struct {
    const Meta *metas;
    u64 count, amount;
    u8 tag, decimals;
} TokenCall;

// Calls one of Token-2022's "checked" instructions: tag, amount, decimals.
static __attribute__((noinline)) u64 call_token(Context *c, const TokenCall *call, const SignerSeeds *signer) {
    u8 data[10];
    data[0] = call->tag;
    wr64(data + 1, call->amount);
    data[9] = call->decimals;
    Instruction ix = {TOKEN_PROGRAM, call->metas, call->count, data, sizeof data};
    return sol_invoke_signed_c(&ix, c->accounts, c->count, signer, signer ? 1 : 0);
}
