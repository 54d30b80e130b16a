// Governance: the keys, the pause and the window length that the other programs obey. See idl.json for the accounts.
#include "guards.h"

#define DAY_S 86400

static const u8 UPGRADEABLE_LOADER[32] = {2,   168, 246, 145, 78,  136, 161, 176, 226, 16, 21,  62,  247, 99,  174, 43,
                                          0,   194, 185, 61,  22,  193, 36,  210, 192, 83, 122, 16,  4,   128, 0,   0};

// A program that can be upgraded is initialized by the key that can upgrade it, so nobody can come first.
static u64 may_initialize(const Account *authority, const Account *program, const Account *program_data, const u8 *id) {
    NEED(equal32(program->key, id), WRONG_PROGRAM);
    if (!equal32(program->owner, UPGRADEABLE_LOADER)) return 0; // under the older loader, final from the start
    NEED(program->data_len == 36 && rd32(program->data) == 2 && equal32(program->data + 4, program_data->key), WRONG_SEEDS);
    NEED(equal32(program_data->owner, UPGRADEABLE_LOADER), WRONG_OWNER);
    NEED(program_data->data_len >= 45 && rd32(program_data->data) == 3, WRONG_DISCRIMINATOR);
    if (program_data->data[12] == 0) return 0; // final
    NEED(equal32(program_data->data + 13, authority->key), ERROR_UNAUTHORIZED);
    return 0;
}

static u64 valid_keys(const u8 *authority, const u8 *submitter, const u8 *certifier) {
    NEED(!zero32(submitter) && !zero32(certifier), ERROR_INVALID_KEY);
    NEED(!equal32(certifier, authority), ERROR_CERTIFIER_IS_AUTHORITY);
    return 0;
}

static u64 initialize(Context *c) {
    TRY(expect(c, 5, INITIALIZE_ARGS));
    Account *authority = &c->accounts[0], *config = &c->accounts[1];
    const u8 *submitter = c->data + 8, *certifier = c->data + 40;
    u32 window_seconds = rd32(c->data + 72);
    NEED(authority->is_signer, NOT_SIGNER);
    NEED(authority->is_writable && config->is_writable, NOT_WRITABLE);
    NEED(!equal32(config->owner, c->program_id), ERROR_ALREADY_INITIALIZED);
    TRY(may_initialize(authority, &c->accounts[2], &c->accounts[3], c->program_id));
    TRY(valid_keys(authority->key, submitter, certifier));
    NEED(window_seconds > 0 && DAY_S % window_seconds == 0, ERROR_INVALID_WINDOW);
    u8 bump;
    New new = {authority, config, &c->accounts[4], LABEL("config"), NO_ID, CONFIG_LEN};
    TRY(create(c, &new, c->program_id, &bump));
    u8 *d = config->data;
    wr64(d, ACCOUNT_CONFIG);
    copy32(d + CONFIG_AUTHORITY, authority->key);
    copy32(d + CONFIG_SUBMITTER, submitter);
    copy32(d + CONFIG_CERTIFIER, certifier);
    wr32(d + CONFIG_WINDOW_SECONDS, window_seconds);
    d[CONFIG_BUMP] = bump;
    u8 event[108];
    wr64(event, EVENT_INITIALIZED);
    copy32(event + 8, authority->key);
    copy32(event + 40, submitter);
    copy32(event + 72, certifier);
    wr32(event + 104, window_seconds);
    return emit(event, sizeof event);
}

// The configuration, writable, and a signature of the key at `role` in it.
static u64 changeable(Context *c, u64 args_len, u64 role) {
    TRY(expect(c, 2, args_len));
    Account *signer = &c->accounts[0], *config = &c->accounts[1];
    NEED(signer->is_signer, NOT_SIGNER);
    NEED(config->is_writable, NOT_WRITABLE);
    TRY(holds(config, c->program_id, ACCOUNT_CONFIG, CONFIG_LEN));
    // Where nothing is proposed the role is the null key, and nobody signs for that.
    if (role == CONFIG_PENDING_AUTHORITY) NEED(!zero32(config->data + role), ERROR_NO_PENDING_AUTHORITY);
    NEED(equal32(signer->key, config->data + role), ERROR_UNAUTHORIZED);
    return 0;
}

static u64 set_keys(Context *c) {
    TRY(changeable(c, SET_KEYS_ARGS, CONFIG_AUTHORITY));
    u8 *d = c->accounts[1].data;
    TRY(valid_keys(d + CONFIG_AUTHORITY, c->data + 8, c->data + 40));
    copy32(d + CONFIG_SUBMITTER, c->data + 8);
    copy32(d + CONFIG_CERTIFIER, c->data + 40);
    u8 event[72];
    wr64(event, EVENT_KEYS_CHANGED);
    copy32(event + 8, c->data + 8);
    copy32(event + 40, c->data + 40);
    return emit(event, sizeof event);
}

static u64 set_paused(Context *c) {
    TRY(changeable(c, SET_PAUSED_ARGS, CONFIG_AUTHORITY));
    u8 *d = c->accounts[1].data, paused = c->data[8];
    NEED(paused <= 1, INSTRUCTION_MALFORMED);
    if (d[CONFIG_PAUSED] == paused) {
        LOG("unchanged");
        return 0;
    }
    d[CONFIG_PAUSED] = paused;
    u8 event[9];
    wr64(event, EVENT_PAUSE_CHANGED);
    event[8] = paused;
    return emit(event, sizeof event);
}

static u64 propose_authority(Context *c) {
    TRY(changeable(c, PROPOSE_AUTHORITY_ARGS, CONFIG_AUTHORITY));
    u8 *d = c->accounts[1].data;
    NEED(!equal32(d + CONFIG_CERTIFIER, c->data + 8), ERROR_CERTIFIER_IS_AUTHORITY);
    copy32(d + CONFIG_PENDING_AUTHORITY, c->data + 8);
    u8 event[40];
    wr64(event, EVENT_AUTHORITY_PROPOSED);
    copy32(event + 8, c->data + 8);
    return emit(event, sizeof event);
}

static u64 accept_authority(Context *c) {
    TRY(changeable(c, ACCEPT_AUTHORITY_ARGS, CONFIG_PENDING_AUTHORITY));
    u8 *d = c->accounts[1].data;
    // The certifier may have changed since the proposal.
    NEED(!equal32(d + CONFIG_CERTIFIER, d + CONFIG_PENDING_AUTHORITY), ERROR_CERTIFIER_IS_AUTHORITY);
    u8 event[72];
    wr64(event, EVENT_AUTHORITY_CHANGED);
    copy32(event + 8, d + CONFIG_AUTHORITY);
    copy32(event + 40, d + CONFIG_PENDING_AUTHORITY);
    copy32(d + CONFIG_AUTHORITY, d + CONFIG_PENDING_AUTHORITY);
    copy32(d + CONFIG_PENDING_AUTHORITY, SYSTEM_PROGRAM);
    return emit(event, sizeof event);
}

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
    TRY(enter(input));
    Context *c = CONTEXT;
    switch (rd64(c->data)) {
    case IX_INITIALIZE: LOG("Instruction: Initialize"); return initialize(c);
    case IX_SET_KEYS: LOG("Instruction: SetKeys"); return set_keys(c);
    case IX_SET_PAUSED: LOG("Instruction: SetPaused"); return set_paused(c);
    case IX_PROPOSE_AUTHORITY: LOG("Instruction: ProposeAuthority"); return propose_authority(c);
    case IX_ACCEPT_AUTHORITY: LOG("Instruction: AcceptAuthority"); return accept_authority(c);
    }
    return INSTRUCTION_UNKNOWN;
}
