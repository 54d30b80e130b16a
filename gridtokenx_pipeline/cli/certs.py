"""`gridtokenx certs`: the campus's certificates."""

from __future__ import annotations

import json
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from . import options

if TYPE_CHECKING:
    from gridtokenx_pipeline.credentials import Renewal
    from ieee2030_5.pki import Authority, Credential, TokenOptions

app = typer.Typer(help="Certificates of the server, meters and other clients (see certs/README.md).", no_args_is_help=True)


class Kind(StrEnum):
    """Profiles of a leaf certificate."""

    device = "device"
    operational = "operational"


class RoleName(StrEnum):
    """What a client may do."""

    meter = "meter"
    aggregator = "aggregator"
    operator = "operator"
    auditor = "auditor"


class Elements(StrEnum):
    """Which elements a client understands."""

    standard = "standard"
    csip_aus = "csip_aus"


class Why(StrEnum):
    """Reasons of RFC 5280, 5.3.1."""

    unspecified = "unspecified"
    keyCompromise = "keyCompromise"  # noqa: N815 - the RFC's names
    affiliationChanged = "affiliationChanged"  # noqa: N815
    superseded = "superseded"
    cessationOfOperation = "cessationOfOperation"  # noqa: N815
    privilegeWithdrawn = "privilegeWithdrawn"  # noqa: N815


Days = Annotated[int, typer.Option("--days", min=1, help="Life of an operational certificate.")]
Profile = Annotated[
    Kind | None, typer.Option("--profile", help="device: IEEE 2030.5, does not expire; operational: the same with an end.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Directory that gets ca.pem, device.pem, device-chain.pem and device.key.")
]


@app.command("init")
def init(
    data: options.Data = None,
    config: options.Config = None,
    name: options.Names = None,
    profile: Profile = None,
    days: Days = 825,
    pkcs11_module: Annotated[
        Path | None, typer.Option("--pkcs11-module", help="Keep the CAs' keys in a token: its library.")
    ] = None,
    token_label: Annotated[str | None, typer.Option("--token-label", help="Label of the token.")] = None,
    pin_env: Annotated[str | None, typer.Option("--pin-env", help="Environment variable that holds the token's PIN.")] = None,
    pin_file: Annotated[Path | None, typer.Option("--pin-file", help="Private file (0600) that holds the token's PIN.")] = None,
    json_: options.Json = False,
) -> None:
    """Make the CAs, the server's certificate and one for each meter, and register the meters. Reuses what is valid.

    Example: gridtokenx certs init --name ami.example.edu --name 192.0.2.10
    """
    from gridtokenx_pipeline.enrolment import SERVER_NAMES, enrol

    settings = options.settings(data, config)
    token = _token(pkcs11_module, token_label, pin_env, pin_file)
    period = timedelta(days=days)
    names = [*SERVER_NAMES, *name] if name else None
    enrolment = enrol(settings, names, token=token, profile=profile and profile.value, period=period)  # type: ignore[arg-type]
    if json_:
        meters = {credential.name: credential.lfdi for credential in enrolment.meters}
        _print_json({"directory": str(settings.certs_dir), "issued": enrolment.issued, "meters": meters})
        return
    typer.echo(f"{len(enrolment.meters)} meters, {enrolment.issued} certificates issued now, in {settings.certs_dir}")


@app.command("list")
def list_(
    data: options.Data = None,
    config: options.Config = None,
    all_: Annotated[bool, typer.Option("--all", help="Also the authorities, the server and OCSP responders.")] = False,
    json_: options.Json = False,
) -> None:
    """List the registered devices: meter, LFDI, SFDI, PIN, status, role, expiry; it warns 30, 7 and 1 days before the end.

    Example: gridtokenx certs list --json
    """
    from gridtokenx_pipeline.credentials import listing

    rows = listing(options.settings(data, config), authorities=all_)
    if json_:
        _print_json(rows)
        return
    columns = ("meter_id", "lfdi", "sfdi", "pin", "status", "role", "certificate_profile", "not_after", "days_left", "warning")
    for row in rows:
        typer.echo("  ".join("-" if row[column] is None else str(row[column]) for column in columns))
    ending = [row for row in rows if row["warning"]]
    if ending:
        typer.echo(f"{len(ending)} end soon or have ended: gridtokenx certs renew --within 30", err=True)


@app.command("issue")
def issue(
    name: Annotated[str, typer.Argument(help="Meter id of the configuration, or the name of a client with --role.")],
    out: Out = None,
    role: Annotated[RoleName, typer.Option("--role", help="What the client may do.")] = RoleName.meter,
    profile: Profile = None,
    days: Days = 825,
    client_profile: Annotated[
        Elements | None, typer.Option("--client-profile", help="csip_aus: the client understands CSIP-AUS elements.")
    ] = None,
    fleet: Annotated[list[str] | None, typer.Option("--fleet", help="Meter an aggregator acts for; repeat for more.")] = None,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Hand a meter's certificate, key and the CAs out for a real meter or curl, or make and register another client's.

    Example: gridtokenx certs issue AMI_METER_STANFORD_ENG_001 --out /tmp/eng

    Example: gridtokenx certs issue alice --role operator --out /tmp/alice
    """
    from gridtokenx_pipeline import credentials
    from gridtokenx_pipeline.enrolment import enrol
    from ieee2030_5.pki import Authority

    settings = options.settings(data, config)
    if role is RoleName.meter:
        if name not in {m.id for m in settings.meters}:
            raise typer.BadParameter(f"{name} is not a meter of {settings.config}", param_hint="NAME")
        if fleet:
            raise typer.BadParameter("a meter has no fleet", param_hint="--fleet")
        period = timedelta(days=days)
        enrolment = enrol(settings, profile=profile and profile.value, period=period)  # type: ignore[arg-type]
        credential, authority = next(c for c in enrolment.meters if c.name == name), enrolment.authority
        if client_profile is not None:
            credentials.set_client_profile(settings, name, client_profile.value)  # type: ignore[arg-type]
    else:
        try:
            _, credential = credentials.issue_client(
                settings,
                name,
                role.value,  # type: ignore[arg-type]
                client_profile=client_profile and client_profile.value,  # type: ignore[arg-type]
                fleet=fleet,
                profile=(profile or Kind.operational).value,  # type: ignore[arg-type]
                period=timedelta(days=days),
            )
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="NAME") from None
        authority = Authority.ensure(settings.certs_dir)
    if credential.revoked:
        _fail(f"the certificate of {name} was revoked: gridtokenx certs replace {name}")
    _handed_out(authority, credential, out, json_)


@app.command("renew")
def renew(
    name: Annotated[str | None, typer.Argument(help="Meter or client.")] = None,
    within: Annotated[
        int | None, typer.Option("--within", min=0, help="Instead: everyone whose certificate ends within so many days.")
    ] = None,
    grace: Annotated[int, typer.Option("--grace", min=0, help="Days that the old certificate stays usable.")] = 30,
    keep_key: Annotated[bool, typer.Option("--keep-key", help="Certify the same key again.")] = False,
    profile: Profile = None,
    days: Days = 825,
    out: Out = None,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Give a meter or client a new certificate. Its LFDI changes; the old one is served until the grace ends.

    Example: gridtokenx certs renew AMI_METER_STANFORD_ENG_001 --grace 14 --out /tmp/eng
    """
    from gridtokenx_pipeline import credentials
    from ieee2030_5.pki import Authority

    settings = options.settings(data, config)
    if (name is None) == (within is None):
        raise typer.BadParameter("give a NAME or --within", param_hint="NAME")
    if name is None and out is not None:
        raise typer.BadParameter("hands out one certificate: give a NAME", param_hint="--out")
    renewals = []
    for each in [name] if name is not None else credentials.due(settings, timedelta(days=within or 0)):
        try:
            renewal = credentials.renew(
                settings,
                each,
                grace=timedelta(days=grace),
                keep_key=keep_key,
                profile=profile and profile.value,  # type: ignore[arg-type]
                period=timedelta(days=days),
            )
        except credentials.UnknownName as error:
            raise typer.BadParameter(str(error), param_hint="NAME") from None
        renewals.append(renewal)
        if out is not None:
            _hand_out(Authority.ensure(settings.certs_dir), renewal.credential, out)
    _tell(renewals, json_, f"usable for {grace} days")


@app.command("replace")
def replace(
    name: Annotated[str | None, typer.Argument(help="Meter or client.")] = None,
    issuing: Annotated[bool, typer.Option("--issuing-authority", help="Instead: the issuing CA and all that it signed.")] = False,
    reason: Annotated[Why, typer.Option("--reason", help="Why the old one is revoked.")] = Why.keyCompromise,
    out: Out = None,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Emergency: shut a meter's or client's certificates out at once and give it a new one with a new key.

    Example: gridtokenx certs replace AMI_METER_STANFORD_ENG_001 --out /tmp/eng
    """
    from gridtokenx_pipeline import credentials
    from ieee2030_5.pki import Authority

    settings = options.settings(data, config)
    if (name is None) != issuing:
        raise typer.BadParameter("give a NAME or --issuing-authority", param_hint="NAME")
    if name is None:
        enrolment = credentials.replace_issuing(settings)
        if json_:
            _print_json({"issued": enrolment.issued})
        else:
            typer.echo(f"another issuing authority; {enrolment.issued} certificates issued now: hand them and ca.pem out")
        return
    try:
        renewal = credentials.replace(settings, name, reason.value)  # type: ignore[arg-type]
    except credentials.UnknownName as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from None
    if out is not None:
        _hand_out(Authority.ensure(settings.certs_dir), renewal.credential, out)
    _tell([renewal], json_, "revoked")


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Meter, client, or the LFDI of one device.")],
    reason: Annotated[Why, typer.Option("--reason", help="Why.")] = Why.unspecified,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Withdraw a meter or client, or one device of it: from the registry at once, and by the revocation lists.

    Example: gridtokenx certs revoke AMI_METER_STANFORD_ENG_001 --reason cessationOfOperation
    """
    from gridtokenx_pipeline import credentials

    settings = options.settings(data, config)
    try:
        lfdis = credentials.revoke(settings, name, reason.value)  # type: ignore[arg-type]
    except credentials.UnknownName as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from None
    if json_:
        _print_json({"revoked": lfdis})
        return
    for lfdi in lfdis:
        typer.echo(f"LFDI {lfdi} is revoked")


@app.command("crl")
def crl(
    if_due: Annotated[bool, typer.Option("--if-due", help="Only lists that are in the last quarter of their life.")] = False,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Sign the revocation lists of both CAs now; certificates whose grace is over are revoked first.

    Example: gridtokenx certs crl --json
    """
    from cryptography import x509

    from gridtokenx_pipeline.registration import follow, opened
    from ieee2030_5.pki import Authority, ensure_crl, load_crl, retire_due, write_crl

    settings = options.settings(data, config)
    authority = Authority.ensure(settings.certs_dir)
    retire_due(authority)
    with opened(settings) as registry:
        follow(settings, registry, authority, [])
    path = ensure_crl(authority) if if_due else write_crl(authority)
    lists = [
        {
            "issuer": one.issuer.rfc4514_string(),
            "number": one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number,
            "revoked": len(one),
            "next_update": one.next_update_utc.isoformat() if one.next_update_utc else None,
        }
        for one in load_crl(path)
    ]
    if json_:
        _print_json({"file": str(path), "lists": lists})
        return
    for row in lists:
        typer.echo(f"{row['issuer']}  number {row['number']}, {row['revoked']} revoked, next update {row['next_update']}")
    typer.echo(str(path))


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="Certificate, PEM.")],
    ca: Annotated[Path | None, typer.Option("--ca", help="Trusted authorities, PEM (default: the campus's).")] = None,
    crl: Annotated[
        Path | None, typer.Option("--crl", help="Revocation lists (default: the campus's, where --ca is not given).")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Its private key (default: FILE's name with .key, if it is there).")
    ] = None,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Check chain, dates, key, profile and revocation of a certificate and say what was found. Exit code 1 if anything is wrong.

    Example: gridtokenx certs verify data/certs/meters/AMI_METER_STANFORD_ENG_001.pem
    """
    from gridtokenx_pipeline import clock
    from ieee2030_5.pki.verification import verify as checked

    settings = options.settings(data, config)
    beside = file.with_name(f"{file.name.removesuffix('.pem')}.key")
    ours = settings.certs_dir / "crl.pem"
    checks = checked(
        file,
        ca=ca or settings.certs_dir / "ca.pem",
        now=clock.now(),
        crl=crl or (ours if ca is None and ours.exists() else None),
        key=key or (beside if beside.exists() else None),
    )
    good = all(check.ok for check in checks)
    if json_:
        rows = [{"check": check.name, "ok": check.ok, "detail": check.detail} for check in checks]
        _print_json({"file": str(file), "ok": good, "checks": rows})
    else:
        for check in checks:
            typer.echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.detail}")
    if not good:
        raise typer.Exit(1)


@app.command("ocsp")
def ocsp(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of the responder; 0 takes a free one.")] = 8889,
    host: Annotated[str, typer.Option("--host", help="Address it listens on.")] = "127.0.0.1",
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Answer who is revoked over OCSP (RFC 6960, HTTP GET and POST) until it is stopped.

    Example: gridtokenx certs ocsp --port 8889
    """
    import asyncio

    from ieee2030_5.pki import Authority
    from ieee2030_5.pki.responder import Responder, ensure_responders, serve

    settings = options.settings(data, config)
    authority = Authority.ensure(settings.certs_dir)
    ensure_responders(authority)
    asyncio.run(serve(Responder(authority.directory), host, port, lambda url: typer.echo(f"OCSP at {url} (Ctrl-C stops)")))


def _token(module: Path | None, label: str | None, pin_env: str | None, pin_file: Path | None) -> TokenOptions | None:
    from ieee2030_5.pki import TokenOptions

    if module is None:
        if label or pin_env or pin_file:
            raise typer.BadParameter("a token needs its library", param_hint="--pkcs11-module")
        return None
    if not label:
        raise typer.BadParameter("which token of the library?", param_hint="--token-label")
    if (pin_env is None) == (pin_file is None):
        raise typer.BadParameter("give one of --pin-env and --pin-file", param_hint="--pin-env")
    return TokenOptions(module, label, pin_env, pin_file.resolve() if pin_file else None)


def _handed_out(authority: Authority, credential: Credential, out: Path | None, json_: bool) -> None:
    files = _hand_out(authority, credential, out) if out else (authority.certificate_path, credential.certificate, credential.key)
    ca, certificate, key = files
    if json_:
        paths = {"ca": str(ca), "certificate": str(certificate), "key": str(key)}
        _print_json({"name": credential.name, "lfdi": credential.lfdi, "sfdi": credential.sfdi, **paths})
        return
    typer.echo(f"LFDI {credential.lfdi}  SFDI {credential.sfdi}")
    typer.echo(f"curl --cacert {ca} --cert {certificate} --key {key} https://localhost:8443/dcap")


def _hand_out(authority: Authority, credential: Credential, out: Path) -> tuple[Path, Path, Path]:
    from ieee2030_5.keyfiles import write_atomically

    out.mkdir(parents=True, exist_ok=True)
    leaf, above = credential.certificate.read_bytes(), (authority.directory / "issuing.pem").read_bytes()
    for content, name, mode in (
        (authority.certificate_path.read_bytes(), "ca.pem", 0o644),
        (leaf, "device.pem", 0o644),
        (leaf + above, "device-chain.pem", 0o644),
        (credential.key.read_bytes(), "device.key", 0o600),
    ):
        write_atomically(out / name, content, mode)
    return out / "ca.pem", out / "device.pem", out / "device.key"


def _tell(renewals: list[Renewal], json_: bool, old: str) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": renewal.credential.name,
            "lfdi": renewal.device.lfdi,
            "sfdi": renewal.device.sfdi,
            "pin": f"{renewal.device.pin:06d}",
            "not_after": renewal.credential.not_after.isoformat(),
            "former": list(renewal.former),
            "certificate": str(renewal.credential.certificate),
        }
        for renewal in renewals
    ]
    if json_:
        _print_json(rows)
        return
    for renewal, row in zip(renewals, rows, strict=True):
        before = ", ".join(renewal.former)
        typer.echo(f"{row['name']}: LFDI {row['lfdi']}  SFDI {row['sfdi']}  PIN {row['pin']}; before: {before} ({old})")
    if not rows:
        typer.echo("nothing to renew")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _fail(message: str) -> NoReturn:
    typer.echo(f"gridtokenx: {message}", err=True)
    raise typer.Exit(1)
