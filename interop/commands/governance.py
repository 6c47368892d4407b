"""`audit replay`, `export`, `check-export`, `retain`, `changes`: what auditors and data protection officers ask for."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from interop.commands.changes import audit_changes
from interop.commands.console import FAILED, err, out, print_json
from interop.commands.periods import parse_time
from interop.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="for a program to read")]

_PERIOD = re.compile(r"(?P<days>[1-9]\d{0,5})d")
MEGABYTE = 1024 * 1024


def _days(text: str) -> timedelta:
    """In days: who deletes in hours has another need."""
    found = _PERIOD.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no number of days, such as 3650d")
    return timedelta(days=int(found["days"]))


def audit_replay(
    id: Annotated[str, typer.Argument(help="of the analysis, which is that of its DiagnosticReport")],
    as_json: Json = False,
) -> None:
    """Make a past analysis again from the stored ECG, by the model and rules of then. Exit code 1 if it differs."""
    from interop.bootstrap import existing_store
    from interop.hl7.senders import load_senders
    from interop.replay_report import lines, replayed
    from interop.replay_source import find_source

    settings = Settings()
    senders = load_senders(settings.senders, settings.time_zone)
    with existing_store(settings) as store, store.reader() as reader:
        source = find_source(reader, id, senders)
    report = replayed(source, settings)
    if as_json:
        print_json(report)
    else:
        for line in lines(report):
            out.print(line, markup=False)
    if report["differences"]:
        raise typer.Exit(FAILED)


def audit_export(
    begin: Annotated[
        datetime, typer.Option("--from", parser=parse_time, metavar="DATE", help="from this time on (UTC)")
    ],
    end: Annotated[datetime, typer.Option("--to", parser=parse_time, metavar="DATE", help="and before this one")],
    target: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="a ZIP file that is not there yet")],
    sign: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="sign it with this Ed25519 key, a PEM file")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the audit entries of a period to a file that anybody can verify without the database."""
    from interop.audit_export import MANIFEST, write_export
    from interop.bootstrap import existing_store, now
    from interop.resources.devices import software_version
    from interop.signing import load_signing_key

    if begin >= end:
        raise typer.BadParameter("--from is not before --to")
    key = load_signing_key(sign) if sign else None
    with existing_store(Settings()) as store, store.period(begin, end) as period:
        written = write_export(
            target, period, begin=begin, end=end, now=now(), software=f"ecg-interop {software_version()}", sign=key
        )
    report = {**written.manifest, "file": str(target), "manifest_sha256": written.manifest_sha256, "signed": bool(key)}
    if as_json:
        print_json(report)
        return
    out.print(f"{target}: {report['entries']} entries of {report['chains']} chains", markup=False)
    out.print(f"SHA-256 of {MANIFEST}: {written.manifest_sha256}{', signed' if key else ''}")


def audit_check_export(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="it must be signed with this key, a PEM file")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify such a file, without a database: manifest, chains, signature. Exit code 1 if anything does not hold."""
    from interop.audit_export import MANIFEST
    from interop.export_check import check_export
    from interop.signing import load_verifying_key

    checked = check_export(file, load_verifying_key(key) if key else None)
    if as_json:
        print_json(checked)
    else:
        for problem in checked.problems:
            err.print(problem, markup=False)
        manifest = checked.manifest
        out.print(f"period {manifest.get('from')} to {manifest.get('to')}", markup=False)
        signed = {True: "signed with this key", False: "NOT signed with this key", None: "signature not checked"}
        out.print(f"SHA-256 of {MANIFEST}: {checked.manifest_sha256}, {signed[checked.signed]}")
        verdict = f"{len(checked.problems)} problems" if checked.problems else "intact"
        out.print(f"{checked.entries} entries in {checked.chains} chains: {verdict}{gone(checked.payloads_gone)}")
    if checked.problems:
        raise typer.Exit(FAILED)


def gone(payloads: int) -> str:
    """How a verdict says that payloads were deleted; nothing where none was."""
    return f"; {payloads} payloads were deleted by retention" if payloads else ""


def audit_retain(
    older_than: Annotated[
        timedelta | None,
        typer.Option(parser=_days, metavar="DAYS", help="delete payloads of audit entries older than this: 3650d"),
    ] = None,
    items_older_than: Annotated[
        timedelta | None,
        typer.Option(parser=_days, metavar="DAYS", help="delete the contents of items received longer ago than this"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be deleted")] = False,
    as_json: Json = False,
) -> None:
    """Delete what is older than you want to keep it. FHIR resources stay, and so does all that `verify` needs."""
    from audit.retention_records import RetentionLimits
    from interop.bootstrap import existing_store, now
    from interop.commands.released import whoami
    from interop.retention import apply

    if older_than is None and items_older_than is None:
        raise typer.BadParameter("say --older-than, --items-older-than, or both")
    at = now()
    limits = RetentionLimits(
        payloads_before=at - older_than if older_than else None,
        items_before=at - items_older_than if items_older_than else None,
    )
    with existing_store(Settings()) as store:
        report = apply(store, limits, at=at, by=whoami(), dry_run=dry_run)
    if as_json:
        print_json(report)
        return
    found, verb = report["expired"], "would be deleted" if dry_run else "deleted"
    out.print(f"payloads of {found['payloads']} audit entries ({found['payload_bytes'] / MEGABYTE:.1f} MB) {verb}")
    out.print(f"contents of {found['items']} received items ({found['item_bytes'] / MEGABYTE:.1f} MB) {verb}")
    if report["transactions"]:
        out.print(f"{report['transactions']} transactions, the longest {report['longest_ms']:.0f} ms")


COMMANDS: Mapping[str, Callable[..., None]] = {
    "changes": audit_changes,
    "replay": audit_replay,
    "export": audit_export,
    "check-export": audit_check_export,
    "retain": audit_retain,
}
