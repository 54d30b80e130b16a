// Registry: meters, their owners' wallets and their status. See idl.json for the accounts.
#include "guards.h"

enum { ACTIVE, MAINTENANCE, SUSPENDED, REVOKED, STATUSES };

// Bit b of entry a: status a may become b.
static const u8 LEGAL[STATUSES] = {
    [ACTIVE] = 1 << MAINTENANCE | 1 << SUSPENDED | 1 << REVOKED,
    [MAINTENANCE] = 1 << ACTIVE | 1 << SUSPENDED | 1 << REVOKED,
    [SUSPENDED] = 1 << ACTIVE | 1 << MAINTENANCE | 1 << REVOKED,
    [REVOKED] = 0,
};

static u64 register_meter(Context *c) {
    TRY(expect(c, 4, REGISTER_METER_ARGS));
    Account *submitter = &c->accounts[0], *meter = &c->accounts[2];
    const u8 *meter_id = c->data + 8, *owner = c->data + 40;
    u32 limit_wh = rd32(c->data + 72);
    TRY(authorized(submitter, &c->accounts[1], CONFIG_SUBMITTER));
    NEED(submitter->is_writable && meter->is_writable, NOT_WRITABLE);
    NEED(limit_wh > 0, ERROR_INVALID_LIMIT);
    NEED(!zero32(owner), ERROR_INVALID_KEY);
    u8 *d = meter->data;
    if (equal32(meter->owner, c->program_id)) {
        TRY(holds(meter, c->program_id, ACCOUNT_METER, METER_LEN));
        NEED(equal32(d + METER_METER_ID, meter_id), WRONG_SEEDS);
        NEED(equal32(d + METER_OWNER, owner) && rd32(d + METER_LIMIT_WH) == limit_wh, ERROR_METER_CONFLICT);
        LOG("registered before");
        return 0;
    }
    u8 bump;
    New new = {submitter, meter, &c->accounts[3], LABEL("meter"), (Bytes){meter_id, 32}, METER_LEN};
    TRY(create(c, &new, c->program_id, &bump));
    wr64(d, ACCOUNT_METER);
    copy32(d + METER_METER_ID, meter_id);
    copy32(d + METER_OWNER, owner);
    wr32(d + METER_LIMIT_WH, limit_wh);
    d[METER_BUMP] = bump;
    u8 event[76];
    wr64(event, EVENT_METER_REGISTERED);
    copy32(event + 8, meter_id);
    copy32(event + 40, owner);
    wr32(event + 72, limit_wh);
    return emit(event, sizeof event);
}

static u64 update_meter_status(Context *c) {
    TRY(expect(c, 3, UPDATE_METER_STATUS_ARGS));
    Account *meter = &c->accounts[2];
    u8 status = c->data[8];
    i64 changed_at = (i64)rd64(c->data + 9);
    TRY(authorized(&c->accounts[0], &c->accounts[1], CONFIG_SUBMITTER));
    NEED(meter->is_writable, NOT_WRITABLE);
    TRY(holds(meter, c->program_id, ACCOUNT_METER, METER_LEN));
    NEED(status < STATUSES, ERROR_INVALID_STATUS);
    u8 *d = meter->data, previous = d[METER_STATUS];
    i64 recorded = (i64)rd64(d + METER_STATUS_CHANGED_AT);
    if (changed_at == recorded && status == previous) {
        LOG("changed before");
        return 0;
    }
    NEED(changed_at > recorded, ERROR_STALE_CHANGE);
    Clock clock;
    TRY(sol_get_clock_sysvar(&clock));
    NEED(changed_at <= clock.unix_timestamp + CLOCK_SKEW_S, ERROR_FUTURE_CHANGE);
    NEED(LEGAL[previous] >> status & 1, ERROR_ILLEGAL_TRANSITION);
    d[METER_STATUS] = status;
    wr64(d + METER_STATUS_CHANGED_AT, (u64)changed_at);
    u8 event[50];
    wr64(event, EVENT_METER_STATUS_CHANGED);
    copy32(event + 8, d + METER_METER_ID);
    event[40] = previous;
    event[41] = status;
    wr64(event + 42, (u64)changed_at);
    return emit(event, sizeof event);
}

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
    TRY(enter(input));
    Context *c = CONTEXT;
    switch (rd64(c->data)) {
    case IX_REGISTER_METER: LOG("Instruction: RegisterMeter"); return register_meter(c);
    case IX_UPDATE_METER_STATUS: LOG("Instruction: UpdateMeterStatus"); return update_meter_status(c);
    }
    return INSTRUCTION_UNKNOWN;
}
