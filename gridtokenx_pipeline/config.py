"""The one settings object: `config/*.toml` < environment < options of the command line.

Environment variables are `GRIDTOKENX_` and the field's name, with two underscores before a nested field
(`GRIDTOKENX_MARKET__MAX_PARTNERS`). The variable names of the original plan are accepted as aliases where
they mean something here (`ALIASES`); the product's own name wins where both are set.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

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


class Vee(_Section):
    """Validation thresholds. Seconds, and factors on rated power."""

    future_tolerance_s: NotNegative = 30
    bound_factor: Annotated[float, Field(gt=0)] = 1.2
    load_bound_factor: Annotated[float, Field(gt=0)] = 4.0
    watermark_s: NotNegative = 60


class Market(_Section):
    """Tariffs in micro-currency per kWh, and the rules of clearing."""

    mechanism: Literal["sdr_bilateral"] = "sdr_bilateral"
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    interval_s: Positive = 300
    feed_in_micro_per_kwh: NotNegative
    retail_micro_per_kwh: NotNegative
    seller_compensation_micro_per_kwh: NotNegative = 0
    max_partners: Positive = 25
    completeness_min_pct: Annotated[int, Field(ge=0, le=100)] = 100

    @model_validator(mode="after")
    def _tariffs_in_order(self) -> Market:
        if self.feed_in_micro_per_kwh + self.seller_compensation_micro_per_kwh > self.retail_micro_per_kwh:
            raise ValueError("feed-in plus seller compensation must not exceed the retail tariff")
        if self.interval_s % 60 or 3600 % self.interval_s:
            raise ValueError("the market interval must be whole minutes and divide the hour")
        return self


class Certificates(_Section):
    """Attributes every bundle carries."""

    carrier: str = "electricity"
    source: str = "solar"


class Settlement(_Section):
    """Which chain, through which profile."""

    profile: Literal["memo"] = "memo"
    rpc_url: str = "http://127.0.0.1:8899"
    commitment: Literal["processed", "confirmed", "finalized"] = "confirmed"
    compute_unit_price_micro_lamports: NotNegative = 0


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
    """A meter of the campus. `rated_kw` bounds generation, `battery_kwh` the store, `baseline_kw` the load."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
    building: str
    building_type: Literal["academic", "residential", "administrative", "athletic", "research", "support"]
    rated_kw: Positive
    battery_kwh: NotNegative
    baseline_kw: Positive


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
    def payer_key(self) -> Path:
        """The fee payer's key file."""
        return self.solana_dir / "payer.json"

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
