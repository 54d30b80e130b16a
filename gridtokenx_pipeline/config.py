"""The one settings object: `config/*.toml` < environment < options of the command line.

Environment variables are `GRIDTOKENX_` and the field's name, with two underscores before a nested field
(`GRIDTOKENX_MARKET__MAX_PARTNERS`). The variable names of the original plan are accepted as aliases where
they mean something here (`ALIASES`); the product's own name wins where both are set.
"""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

if TYPE_CHECKING:
    from gridtokenx_pipeline.domain.thresholds import Thresholds

PROJECT_ROOT = Path(__file__).resolve().parent.parent

ALIASES: dict[str, str] = {
    "MAX_TRADING_PARTNERS": "market.max_partners",
    "TRADE_MATCHING_ALGORITHM": "market.mechanism",
    "POLLING_INTERVAL_SEC": "metering.interval_s",
    "MAX_FAILED_AUTH_ATTEMPTS": "ingest.max_failed_auth",
    "BLOCKCHAIN_SUBMIT_INTERVAL": "market.interval_s",
    "SOLANA_RPC_URL": "settlement.rpc_url",
    "SOLANA_COMMITMENT_LEVEL": "settlement.commitment",
}
_ALIAS_VALUES = {("TRADE_MATCHING_ALGORITHM", "bilateral"): "sdr_bilateral"}

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
BUILDING_TYPES = ("academic", "residential", "administrative", "athletic", "research", "support")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(_Section):
    """Where the campus is; `timezone` serves local views and building schedules only."""

    name: str
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    altitude_m: float = 0
    timezone: str


class Metering(_Section):
    """What meters are asked for."""

    interval_s: Positive = 15


class VeeThresholds(_Section):
    """Thresholds that may differ by meter type; what is not set is as for all, or as `domain.thresholds.Thresholds` has it."""

    bound_factor: Annotated[float, Field(gt=0)] | None = None
    load_bound_factor: Annotated[float, Field(gt=0)] | None = None
    clock_snap_s: NotNegative | None = None
    clock_drift_s: Positive | None = None
    tare_pct: Percent | None = None
    sum_check_pct: Percent | None = None
    sum_check_lsb: NotNegative | None = None
    overcounting_pct: Percent | None = None
    spike_days: Positive | None = None
    spike_mads: Annotated[float, Field(gt=0)] | None = None
    spike_pct: Annotated[float, Field(gt=0)] | None = None
    zero_generation_min: Positive | None = None
    neighbours_pct: Percent | None = None
    zero_load_h: Positive | None = None
    stuck_readings: Annotated[int, Field(ge=2)] | None = None
    night_elevation_deg: Annotated[float, Field(ge=-90, le=0)] | None = None
    night_pct: Percent | None = None
    sibling_pct: Percent | None = None
    sibling_wh: Annotated[float, Field(ge=0)] | None = None
    linear_s: NotNegative | None = None
    like_days: Positive | None = None
    settlement_gap_s: NotNegative | None = None
    prolonged_days: Positive | None = None
    feeder_pct: Percent | None = None


class Vee(VeeThresholds):
    """Validation, estimation and editing. Seconds, percent, and factors on rated power.

    `types` overrides thresholds for the meters of a building type. `feeder_meter` is the meter at the campus's connection (PCC),
    rated `feeder_kw`, which is validated and balanced against but takes no part in the market. A ReadingType that comes up to
    `late_type_s` after a reading is taken for it where none came before.
    """

    future_tolerance_s: NotNegative = 30
    watermark_s: NotNegative = 60
    late_type_s: NotNegative = 86_400
    completeness_sla_pct: Percent = 99.5
    feeder_meter: str | None = None
    feeder_kw: Positive = 2000
    types: dict[str, VeeThresholds] = {}

    @model_validator(mode="after")
    def _known_types(self) -> Vee:
        unknown = sorted(set(self.types) - set(BUILDING_TYPES))
        if unknown:
            raise ValueError(f"vee.types of unknown building types: {', '.join(unknown)}; known are {', '.join(BUILDING_TYPES)}")
        return self

    def thresholds(self, meter_type: str) -> Thresholds:
        """Return the thresholds of a meter type."""
        from gridtokenx_pipeline.domain.thresholds import Thresholds

        names = VeeThresholds.model_fields
        own = self.types.get(meter_type, VeeThresholds())
        chosen = {name: next((v for v in (getattr(own, name), getattr(self, name)) if v is not None), None) for name in names}
        return Thresholds(**{name: value for name, value in chosen.items() if value is not None})


class Retention(_Section):
    """How long detail is kept, in days; 0 is for ever. Settled energy, trades, certificates and receipts are always kept.

    `raw_days`: bodies of raw messages (their ids, hashes and outcomes stay). `readings_days`: core.readings and 15-second energy.
    `telemetry_days`: telemetry and device documents. `rejected_days`: refused readings. `snapshots_days`: the lake's history, for
    time travel. `landing_days`: landing segments that were loaded whole. `runs_days`: Dagster's runs of ticks.
    """

    raw_days: NotNegative = 0
    readings_days: NotNegative = 0
    telemetry_days: NotNegative = 0
    rejected_days: NotNegative = 0
    snapshots_days: Positive = 7
    landing_days: NotNegative = 0
    runs_days: NotNegative = 0


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LocalTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]


class TariffPeriod(_Section):
    """A part of the week in some months: [start, end) of the days given, in the site's local time.

    Prices in micro-currency per kWh.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    feed_in_micro_per_kwh: NotNegative
    retail_micro_per_kwh: NotNegative
    days: tuple[Literal[DAYS], ...] = DAYS  # type: ignore[valid-type]
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = tuple(range(1, 13))
    start: LocalTime = "00:00"
    end: LocalTime = "24:00"


class TariffPlan(_Section):
    """Prices by time of use from the local day `valid_from` until before `valid_until` (left out: for ever).

    Its periods hold every moment of every week and month once.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    valid_from: dt.date
    valid_until: dt.date | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    seller_compensation_micro_per_kwh: NotNegative | None = None
    periods: tuple[TariffPeriod, ...]


class GridLink(_Section):
    """What it costs to bring energy from one grid zone to another; both ways, unless the other way has a link of its own.

    Losses in parts per million, wheeling in micro-currency per kWh, both of what is sold.
    """

    source: str
    target: str
    loss_ppm: Annotated[int, Field(ge=0, lt=1_000_000)] = 0
    wheeling_micro_per_kwh: NotNegative = 0


class Market(_Section):
    """Tariffs in micro-currency per kWh, and the rules of clearing.

    `tariffs` are prices by time of use; intervals that none of them holds have the flat prices. `agreements` is a CSV file of
    standing bilateral agreements, relative to the configuration file. `links` are losses and wheeling between grid zones.
    """

    mechanism: Literal["sdr_bilateral", "mmr", "double_auction"] = "sdr_bilateral"
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    interval_s: Positive = 300
    feed_in_micro_per_kwh: NotNegative
    retail_micro_per_kwh: NotNegative
    seller_compensation_micro_per_kwh: NotNegative = 0
    max_partners: Positive = 25
    completeness_min_pct: Annotated[int, Field(ge=0, le=100)] = 100
    tariffs: tuple[TariffPlan, ...] = ()
    links: tuple[GridLink, ...] = ()
    agreements: Path | None = None
    published_days: Positive = 2

    @model_validator(mode="after")
    def _tariffs_in_order(self) -> Market:
        if self.feed_in_micro_per_kwh + self.seller_compensation_micro_per_kwh > self.retail_micro_per_kwh:
            raise ValueError("feed-in plus seller compensation must not exceed the retail tariff")
        if self.interval_s % 60 or 3600 % self.interval_s:
            raise ValueError("the market interval must be whole minutes and divide the hour")
        return self


class Certificates(_Section):
    """Attributes every bundle or device carries, and the rules of their life.

    `validity_days`: certificates expire so long after their interval; 0 is never. `storage_efficiency_pct`: round trip of stores.
    `commissioned_on`: for meters that have no date of their own.
    """

    carrier: str = "electricity"
    source: str = "solar"
    fuel_code: str | None = "ES100"
    technology: str = "photovoltaic"
    technology_code: str | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "US"
    region: str | None = None
    issuer: str = "GridTokenX"
    registry: str = "GridTokenX"
    configuration: Literal[1, 2, 3] = 1
    commissioned_on: dt.date = dt.date(2025, 1, 1)
    validity_days: NotNegative = 730
    storage_efficiency_pct: Annotated[int, Field(gt=0, le=100)] = 90


NETTING_HOURS = (0, 1, 2, 3, 4, 6, 8, 12, 24)


class Settlement(_Section):
    """Which chain, through which profile.

    `rpc_url` = `inprocess` is the local node in the process that settles, without HTTP: for tests and backfills.
    `more_rpc_urls` take over where `rpc_url` fails. `compute_unit_price_micro_lamports` is the priority fee; without it, the
    75th percentile of recent ones, at most `max_compute_unit_price_micro_lamports`. With `netting_hours` the trades, mints
    and retirements of that many hours are netted; 0 settles each interval for itself. `idl_dir` (relative to the data
    directory) holds the IDL files of profile `gridtokenx-2026-08`. `program_ids` are ids that another cluster than the local
    one has the programs at, and `currency_mint` is what trades are paid in there (Token-2022, 6 decimals). With `fee_payer` =
    `submitter` that key pays too, and each transaction has one signature less. `lookup_tables` = `auto` makes tables where a
    campus is large enough for them to pay. `min_balance_lamports` is the balance below which a check warns,
    `finalized_within_min` what another allows a transaction.
    """

    profile: Literal["gridtokenx", "gridtokenx-2026-08", "memo"] = "gridtokenx"
    rpc_url: str = "http://127.0.0.1:8899"
    more_rpc_urls: tuple[str, ...] = ()
    commitment: Literal["processed", "confirmed", "finalized"] = "confirmed"
    compute_unit_price_micro_lamports: NotNegative | None = None
    max_compute_unit_price_micro_lamports: NotNegative = 50_000
    netting_hours: NotNegative = 0
    lookup_tables: Literal["auto", "always", "never"] = "auto"
    fee_payer: Literal["own", "submitter"] = "own"
    idl_dir: Path | None = None
    program_ids: dict[str, str] = {}
    currency_mint: str | None = None
    min_balance_lamports: NotNegative = 100_000_000
    finalized_within_min: Positive = 5

    @model_validator(mode="after")
    def _whole_periods(self) -> Settlement:
        if self.netting_hours not in NETTING_HOURS:
            raise ValueError(f"settlement.netting_hours = {self.netting_hours} does not divide a day; possible: {NETTING_HOURS}")
        return self


class Ingest(_Section):
    """How the ingest server treats its clients; see `ingest_server.options.ServerOptions` for what each value does.

    With `enrolment`, devices of the campus's CA that the registry does not know may register themselves in band. Without
    `ops_port`, the stack takes a free one for /healthz, /readyz and /metrics, and `ingest serve` serves none.
    """

    tls13: bool = False
    enrolment: bool = False
    enrolment_profile: Literal["standard", "csip_aus"] = "standard"
    crl_stale: Literal["warn", "refuse"] = "warn"
    ocsp_url: str | None = None
    ocsp_required: bool = False
    rate_limit_per_min: NotNegative = 1000
    max_failed_auth: NotNegative = 3
    cool_down_s: Positive = 60
    max_connections: Positive = 20_000
    max_connections_per_device: Positive = 1000
    max_handshakes: Positive = 256
    notification_hosts: tuple[str, ...] = ()
    ops_host: str = "127.0.0.1"
    ops_port: Annotated[int, Field(ge=0, le=65_535)] | None = None


class GatewayFeed(_Section):
    """What legacy readings of one shape mean, for some meters or all; see `gridtokenx_pipeline.domain.legacy.feeds.Feed`."""

    shape: Literal["original", "readings", "dlms"]
    meters: tuple[str, ...] = ()
    interval_s: Annotated[int, Field(gt=0, le=86_400)] | None = None
    stamp: Literal["start", "end"] = "end"
    clock_tolerance_s: NotNegative = 1
    storage: Literal["unknown", "none", "separate"] = "unknown"
    obis: Literal["register", "interval"] = "register"
    flow: Literal["connection", "gross"] = "connection"


class Gateway(_Section):
    """Legacy JSON over HTTPS. Without `port` there is none.

    `token_key` (relative to the data directory) is the secret (HS256) or public key (ES256) that bearer tokens are verified with;
    without it, API keys are the only credential. `require` says what a request must bring.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    require: Literal["any", "token", "key", "both"] = "any"
    algorithm: Literal["HS256", "ES256"] = "HS256"
    token_key: Path | None = None
    audience: str = "gridtokenx-gateway"
    requests_per_min: NotNegative = 1000
    feeds: tuple[GatewayFeed, ...] = ()


class Meter(_Section):
    """A meter of the campus. `rated_kw` bounds generation, `battery_kwh` the store, `baseline_kw` the load.

    `grid_zone` is the part of the campus's grid it is connected to (`market.links`); `commissioned_on` is when its generator was.
    `wallet` is the owner's own on Solana, who then approves the market and the issuer; without one the operator keeps a wallet.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
    building: str
    building_type: Literal[BUILDING_TYPES]  # type: ignore[valid-type]
    rated_kw: Positive
    battery_kwh: NotNegative
    baseline_kw: Positive
    grid_zone: Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,32}$")] = ""
    commissioned_on: dt.date | None = None
    wallet: Annotated[str, Field(pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}$")] | None = None


class Settings(BaseSettings):
    """Everything that can be configured. Build it with `load()`."""

    model_config = SettingsConfigDict(env_prefix="GRIDTOKENX_", env_nested_delimiter="__", extra="forbid", frozen=True)

    data: Path = PROJECT_ROOT / "data"
    config: Path = PROJECT_ROOT / "config" / "stanford.toml"
    zone: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    site: Site
    metering: Metering = Metering()
    ingest: Ingest = Ingest()
    vee: Vee = Vee()
    retention: Retention = Retention()
    market: Market
    certificates: Certificates = Certificates()
    settlement: Settlement = Settlement()
    gateway: Gateway = Gateway()
    meters: tuple[Meter, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        ids = [meter.id for meter in self.meters]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"meters named twice: {', '.join(twice)}")
        if self.vee.feeder_meter in ids:
            raise ValueError(f"vee.feeder_meter {self.vee.feeder_meter} is a meter of the campus itself")
        zones = {meter.grid_zone for meter in self.meters}
        strange = sorted({end for link in self.market.links for end in (link.source, link.target)} - zones)
        if strange:
            raise ValueError(f"market.links name grid zones that no meter is in: {', '.join(strange)}")
        if self.market.interval_s % self.metering.interval_s:
            raise ValueError("the market interval must be a multiple of the metering interval")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What `load()` was told, over the environment, over the file and the plan's aliases."""
        path = Path(init_settings().get("config") or os.environ.get("GRIDTOKENX_CONFIG") or cls.model_fields["config"].default)
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=_file_and_aliases(path.expanduser()))

    @property
    def certs_dir(self) -> Path:
        """Certificates and keys."""
        return self.data / "certs"

    @property
    def gateway_token_key(self) -> Path | None:
        """What the gateway verifies bearer tokens with, if with anything."""
        return self.gateway.token_key and self.data / self.gateway.token_key.expanduser()

    @property
    def agreements_file(self) -> Path | None:
        """The file of standing bilateral agreements, where there is one."""
        return self.market.agreements and self.config.parent / self.market.agreements.expanduser()

    @property
    def landing_dir(self) -> Path:
        """Landing segments."""
        return self.data / "landing"

    @property
    def operational_url(self) -> str:
        """SQLAlchemy URL of the operational tables (registry, mirror usage points, outbox, security events)."""
        return f"sqlite:///{self.data / 'operational.sqlite'}"

    @property
    def warehouse_dir(self) -> Path:
        """DuckLake catalog and Parquet files."""
        return self.data / "warehouse"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance."""
        return self.data / "dagster"

    @property
    def solana_dir(self) -> Path:
        """Keys, and the local node's ledger."""
        return self.data / "solana"

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """All endpoints of the chain, the preferred one first; `inprocess` is the local node without HTTP, in this process."""
        first, mark, options = self.settlement.rpc_url.partition("?")
        if first == "inprocess":
            first = f"inprocess:{self.solana_dir / 'node'}"
        return (f"{first}{mark}{options}", *self.settlement.more_rpc_urls)

    @property
    def payer_key(self) -> Path:
        """The fee payer's key file."""
        return self.solana_dir / ("submitter.json" if self.settlement.fee_payer == "submitter" else "payer.json")

    @property
    def submitter_key(self) -> Path:
        """The key file of who submits readings, trades and mints of energy."""
        return self.solana_dir / "submitter.json"

    @property
    def certifier_key(self) -> Path:
        """The key file of who mints and retires certificates."""
        return self.solana_dir / "certifier.json"

    @property
    def authority_key(self) -> Path:
        """The key file of governance's authority on the local node; settlement itself never signs with it."""
        return self.solana_dir / "node" / "operator.json"

    @property
    def wallets_secret(self) -> Path:
        """The secret from which the wallets in custody are derived."""
        return self.solana_dir / "wallets.secret"

    @property
    def simulator_dir(self) -> Path:
        """What simulated meters remember."""
        return self.data / "simulator"

    @property
    def logs_dir(self) -> Path:
        """Log files of the processes that a command starts."""
        return self.data / "logs"


def load(**overrides: Any) -> Settings:
    """Read the configuration file, then the environment, then `overrides` (fields; nested ones as dicts).

    Raises `FileNotFoundError` for a missing file, `tomllib.TOMLDecodeError` or `pydantic.ValidationError`
    for a bad one; both name the place.
    """
    settings = Settings(**overrides)
    # Child processes run in other directories: what is handed to them must not depend on this one's.
    return settings.model_copy(update={name: getattr(settings, name).expanduser().resolve() for name in ("data", "config")})


def _file_and_aliases(path: Path) -> dict[str, Any]:
    """The file's content, under the plan's variables where they are set."""
    values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    for variable, target in ALIASES.items():
        if variable in os.environ:
            section, name = target.split(".")
            value = os.environ[variable]
            values.setdefault(section, {})[name] = _ALIAS_VALUES.get((variable, value), value)
    return values
