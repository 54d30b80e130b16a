// Writes golden.json: bytes that Anchor's own coder makes of the values below. How the file came to be; no test runs this.
//   mkdir /tmp/golden && cd /tmp/golden && npm install @anchor-lang/core@1.2.0
//   cp REPOSITORY/tests/solana/idl/make_golden.mjs . && node make_golden.mjs REPOSITORY/tests/solana
// Values are JSON with tagged forms for what JSON lacks: {"$int": "..."} (all integers), {"$hex": "..."} (bytes), {"$key": base58}.
import fs from "node:fs";
import anchor from "@anchor-lang/core";

const { BN, web3, BorshInstructionCoder, BorshAccountsCoder, BorshEventCoder } = anchor;
const root = process.argv[2];
const int = (value) => ({ $int: String(value) });
const hex = (value) => ({ $hex: value });
const key = (value) => ({ $key: value });
const SOME = "64Vgos61STZ8pW9NnHi2iGtXMTQr7NqBoMorK6Zg8RJU";
const WIDE = new Set(["u64", "i64", "u128", "i128", "u256", "i256"]);

// What Anchor's coder takes: BN for wide integers, Buffer for bytes, PublicKey, null, {Variant: fields}.
function native(idl, type, value, given = {}) {
  if (typeof type === "string") {
    if (value.$int !== undefined) return WIDE.has(type) ? new BN(value.$int) : Number(value.$int);
    if (value.$hex !== undefined) return Buffer.from(value.$hex, "hex");
    if (value.$key !== undefined) return new web3.PublicKey(value.$key);
    return value;
  }
  if (type.generic) return native(idl, given[type.generic], value);
  if (type.option) return value === null ? null : native(idl, type.option, value, given);
  if (type.vec) return value.map((item) => native(idl, type.vec, item, given));
  if (type.array) return value.$hex !== undefined ? [...Buffer.from(value.$hex, "hex")] : value.map((item) => native(idl, type.array[0], item, given));
  const def = idl.types.find((t) => t.name === type.defined.name);
  const inner = Object.fromEntries((def.generics ?? []).map((g, i) => [g.name, type.defined.generics[i].type]));
  if (def.type.kind === "type") return native(idl, def.type.alias, value, inner);
  if (def.type.kind === "struct") return fields(idl, def.type.fields, value, inner);
  const name = typeof value === "string" ? value : Object.keys(value)[0];
  const variant = def.type.variants.find((v) => v.name === name);
  return { [name]: fields(idl, variant.fields, typeof value === "string" ? {} : value[name], inner) };
}
function fields(idl, list, value, given) {
  const named = (list ?? []).map((f, i) => (f.name !== undefined && f.type !== undefined ? [f.name, f.type, f.name] : [String(i), f, i]));
  return Object.fromEntries(named.map(([name, type, at]) => [name, native(idl, type, value[at], given)]));
}

const ints = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, int(value)]));
const top = (bits) => (1n << BigInt(bits)) - 1n;
const low = (bits) => -(1n << BigInt(bits - 1));
const high = (bits) => (1n << BigInt(bits - 1)) - 1n;
const widths = { a: 8, b: 16, c: 32, d: 64, e: 128, f: 256 };
const each = (make) => ints(Object.fromEntries(Object.entries(widths).map(([name, bits]) => [name, make(bits)])));
const pair = (left, right) => ({ left: int(left), right: int(right) });
const defined = (over) => ({
  payload: { order_id: hex("000102030405060708090a0b0c0d0e0f"), user: key(SOME), pair: pair(255, -1), expires_at: null },
  tuple: [int(513), "Wh", pair(0, 0)], nothing: {}, alias: int(7), alias_of_vec: [int(1), int(2)], ...over,
});
const leaf = (value, ...children) => ({ value: int(value), children });
const payload = (side) => ({ order_id: hex("ab".repeat(16)), user: key(SOME), energy_amount: int(5_000_000_000), price_per_kwh: int(150_000), side: int(side), zone_id: int(3), expires_at: int(1_790_000_000) });

const INSTRUCTIONS = [
  ["everything", "unsigned", each(() => 0)], ["everything", "unsigned", each(top)], ["everything", "unsigned", each((bits) => 1n << BigInt(bits - 2))],
  ["everything", "signed", each(low)], ["everything", "signed", each(high)], ["everything", "signed", each(() => -1)],
  ["everything", "plain", { flag: true, single: 0.15625, double: -2.5e300, text: "Zähler ⚡ 300", raw: hex("00ff10"), key: key(SOME) }],
  ["everything", "plain", { flag: false, single: 0.1, double: 0.1, text: "", raw: hex(""), key: key("11111111111111111111111111111111") }],
  ["everything", "plain", { flag: false, single: -1.5, double: 5e-324, text: "a\u0000b", raw: hex("01".repeat(300)), key: key(SOME) }],
  ["everything", "maybe", { number: null, pair: null, many: null }],
  ["everything", "maybe", { number: int(0), pair: pair(1, 2), many: [] }],
  ["everything", "maybe", { number: int(top(64)), pair: null, many: [int(1), int(65535)] }],
  ["everything", "sequences", { bytes: hex("11".repeat(32)), numbers: [int(-1), int(0), int(32767)], grid: [hex("0102"), hex("0304")], texts: ["a", "", "ü"], pairs: [pair(1, -1)], options: [null, int(9)] }],
  ["everything", "sequences", { bytes: hex("00".repeat(32)), numbers: [int(0), int(0), int(0)], grid: [hex("0000"), hex("0000")], texts: [], pairs: [], options: [] }],
  ["everything", "defined", defined({})],
  ["everything", "defined", defined({ payload: { order_id: hex("ff".repeat(16)), user: key(SOME), pair: pair(0, low(64)), expires_at: int(high(64)) }, alias_of_vec: [] })],
  ["everything", "act", { action: "Stop" }], ["everything", "act", { action: { Move: { x: int(-5), y: null } } }],
  ["everything", "act", { action: { Move: { x: int(5), y: int(-6) } } }], ["everything", "act", { action: { Write: ["hello", int(200)] } }],
  ["everything", "act", { action: { Nested: ["Wind"] } }],
  ["everything", "generic", { buffer: { used: int(2), data: hex("01020304") }, wrapped: { inner: int(7), more: [int(8), int(9)] } }],
  ["everything", "tree", { root: leaf(1, leaf(2), leaf(3, leaf(4))) }],
  ["everything", "nothing_at_all", {}],
  ["oracle", "submit_meter_reading", { meter_id: "AMI_METER_STANFORD_ENG_001", energy_produced: int(1_670), energy_consumed: int(900), reading_timestamp: int(1_790_000_300), zone_id: int(-1) }],
  ["oracle", "aggregate_readings", ints({ total_produced: 1, total_consumed: 2, valid_count: 3, rejected_count: 4 })],
  ["registry", "update_meter_reading", ints({ energy_generated: 1_670, energy_consumed: 900, reading_timestamp: 1_790_000_300 })],
  ["registry", "set_meter_status", { new_status: "Maintenance" }], ["registry", "set_meter_status", { new_status: "Active" }],
  ["registry", "register_meter", { meter_id: "AMI_METER_STANFORD_ENG_001", meter_type: "Solar", shard_id: int(15), zone_id: int(4) }],
  ["energy_token", "mint_generation", { meter_id: hex("00112233445566778899aabbccddeeff"), window_start_ms: int(1_790_000_100_000), amount: int(1_670_000_000) }],
  ["governance", "issue_erc", { certificate_id: "STANFORD-ENG-001-2026-11", energy_amount: int(100), renewable_source: "solar", validation_data: "sha256:00" }],
  ["trading", "execute_atomic_settlement", { amount: int(5_000_000_000), price: int(150_000), trade_id: hex("0f".repeat(16)) }],
  ["trading", "settle_offchain_match", { buyer_payload: payload(0), seller_payload: payload(1), match_amount: int(1), match_price: int(2), trade_id: hex("01".repeat(16)) }],
  ["trading", "batch_settle_offchain_match", { matches: [{ buyer_payload: payload(0), seller_payload: payload(1), match_amount: int(1), match_price: int(2), trade_id: hex("02".repeat(16)) }], merkle_root: hex("aa".repeat(32)), vat_amount: int(7), vat_rate_bps: int(700), batch_id: int(9), settle_shard_id: int(3) }],
];
const ACCOUNTS = [
  ["everything", "Ledger", { owner: key(SOME), entries: [pair(1, 2), pair(3, -4)], kind: "Wind", last: { Move: { x: int(1), y: null } } }],
  ["everything", "Ledger", { owner: key(SOME), entries: [], kind: "Solar", last: null }],
  ["oracle", "MeterState", { meter_id: hex("4d".repeat(32)), meter_id_len: int(26), bump: int(254), zone_id: int(-1), energy_produced: int(1), energy_consumed: int(2), total_energy_produced: int(3), total_energy_consumed: int(4), last_reading_timestamp: int(1_790_000_300), total_readings: int(6), created_at: int(1_790_000_000) }],
  ["energy_token", "GenerationMintRecord", { meter_id: hex("4d".repeat(16)), window_start_ms: int(1_790_000_100_000), amount: int(5), minted: true, bump: int(255) }],
  // Anchor's coder writes zero-copy accounts as borsh; of structs without padding that is the same memory.
  ["registry", "MeterAccount", { meter_id: hex("4d".repeat(32)), owner: key(SOME), meter_type: "Battery", status: "Maintenance", _pad_a: hex("0000"), zone_id: int(7), registered_at: int(1), last_reading_at: int(2), total_generation: int(3), total_consumption: int(4), settled_net_generation: int(5), claimed_erc_generation: int(6) }],
  ["oracle", "OracleData", { authority: key(SOME), chain_bridge: key(SOME), total_readings: int(1), last_reading_timestamp: int(2), last_clearing: int(3), created_at: int(4), min_energy_value: int(0), max_energy_value: int(1_000_000), total_valid_readings: int(5), total_rejected_readings: int(6), quality_score_updated_at: int(7), total_global_energy_produced: int(8), total_global_energy_consumed: int(9), last_cleared_epoch: int(10), min_reading_interval: int(60), max_production_consumption_ratio: int(1000), active: int(1), anomaly_detection_enabled: int(1), last_quality_score: int(95), _padding: hex("00") }],
];
const EVENTS = [["everything", "Happened", { meter_id: "m", energy: int(5), action: { Write: ["x", int(1)] } }]];
// Refused by our coder; `anchor` says what Anchor's does with the same: it throws, or these are its bytes.
const REFUSED = [
  ["unsigned", { ...each(() => 0), a: int(256) }, "args.a: 256 is not a u8"], ["unsigned", { ...each(() => 0), a: int(-1) }, "args.a: -1 is not a u8"],
  ["unsigned", { ...each(() => 0), d: int(1n << 64n) }, `args.d: ${1n << 64n} is not a u64`], ["unsigned", { ...each(() => 0), f: int(1n << 256n) }, "args.f: "],
  ["signed", { ...each(() => 0), a: int(128) }, "args.a: 128 is not an i8"], ["signed", { ...each(() => 0), d: int(low(64) - 1n) }, "args.d: "],
  ["unsigned", Object.fromEntries(Object.entries(each(() => 0)).slice(0, 5)), "args: missing argument f"],
  ["unsigned", { ...each(() => 0), g: int(1) }, "args: unknown argument g"],
  ["sequences", { bytes: hex("11".repeat(31)), numbers: [], grid: [], texts: [], pairs: [], options: [] }, "args.bytes: 32 items are wanted, not 31"],
  ["defined", defined({ payload: { order_id: [int(0), int(1), int(2), int(300), ...Array(12).fill(int(0))], user: key(SOME), pair: pair(0, 0), expires_at: null } }), "args.payload.order_id[3]: 300 is not a u8"],
  ["defined", defined({ tuple: [int(1), "x"] }), "args.tuple: 3 fields are wanted, not 2"],
  ["act", { action: "Jump" }, "args.action: 'Jump' is none of Stop, Move, Write, Nested"],
  ["act", { action: { Move: { x: int(1) } } }, "args.action.Move: missing field y"],
];

const idls = Object.fromEntries([["everything", "idl/everything.json"], ...["oracle", "registry", "energy_token", "governance", "trading"].map((name) => [name, `${process.env.GRIDTOKENX_IDLS}/${name}.json`])].map(([name, path]) => [name, JSON.parse(fs.readFileSync(`${root}/${path}`))]));
const argsOf = (idl, name, value) => fields(idl, idl.instructions.find((i) => i.name === name).args, value, {});
const golden = { coder: "@anchor-lang/core 1.2.0", instructions: [], accounts: [], events: [], refused: [] };
for (const [program, name, args] of INSTRUCTIONS) {
  const data = new BorshInstructionCoder(idls[program]).encode(name, argsOf(idls[program], name, args));
  golden.instructions.push({ program, name, args, data: data.toString("hex") });
}
for (const [program, name, content] of ACCOUNTS) {
  const data = await new BorshAccountsCoder(idls[program]).encode(name, native(idls[program], { defined: { name } }, content));
  golden.accounts.push({ program, name, content, data: data.toString("hex") });
}
for (const [program, name, content] of EVENTS) {
  // Its event coder only reads, so the bytes are those of an account with the event's discriminator, and it must read them back.
  const idl = { ...idls[program], accounts: idls[program].events };
  const data = await new BorshAccountsCoder(idl).encode(name, native(idl, { defined: { name } }, content));
  if (new BorshEventCoder(idls[program]).decode(data.toString("base64")).name !== name) throw new Error(name);
  golden.events.push({ program, name, content, data: data.toString("hex") });
}
for (const [name, args, error] of REFUSED) {
  let outcome;
  try {
    outcome = new BorshInstructionCoder(idls.everything).encode(name, argsOf(idls.everything, name, args)).toString("hex");
  } catch {
    outcome = "throws";
  }
  golden.refused.push({ program: "everything", name, args, error, anchor: outcome });
}
fs.writeFileSync(`${root}/idl/golden.json`, JSON.stringify(golden, null, 1) + "\n");
