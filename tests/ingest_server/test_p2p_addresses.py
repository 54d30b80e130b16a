"""What devices do to an offer or an agreement is landed under one address, which the pipeline knows it by."""

from __future__ import annotations

import time

import polars as pl
from ingest_harness import SEP, Server

from gridtokenx_pipeline.domain.parse import parse_messages
from ieee2030_5.extensions.p2p import BilateralAgreement
from ieee2030_5.resources import DateTimeInterval
from ieee2030_5.xml import encode

NOW = int(time.time())


def agreement(price: int, mrid: str = "ab12") -> BilateralAgreement:
    return BilateralAgreement(
        mrid=mrid, counterparty_lfdi="0B" * 20, creation_time=NOW, energy_limit=500, interval=DateTimeInterval(start=NOW, duration=3600),
        price=price, role="seller", status="proposed",
    )  # fmt: skip


async def test_post_put_and_delete_of_an_agreement_have_its_address(server: Server) -> None:
    async def send(method: str, path: str, body: bytes = b"", name: str = "METER_A") -> str:
        async with server.session(name).request(method, path, data=body, headers=SEP) as response:
            assert response.status in (201, 204), await response.text()
            return response.headers.get("Location", "")

    own = await send("POST", "/p2p/agr", encode(agreement(1)))
    other = await send("POST", "/p2p/agr", encode(agreement(2)), "METER_B")
    await send("PUT", own, encode(agreement(3, "cd34")))
    await send("DELETE", own)
    landed = pl.DataFrame(
        [
            {
                "message_id": str(number), "received_at": m.received_at, "zone": m.zone, "meter_id": m.meter_id, "body": m.body,
                "device_lfdi": m.device_lfdi, "method": m.method, "path": m.path,
            }
            for number, m in enumerate(server.landed())
        ]
    ).with_columns(pl.col("received_at").dt.cast_time_unit("us"))  # fmt: skip
    rows = parse_messages(landed).p2p_documents.sort("message_id")
    assert rows.select("action", "path", "price_micro_per_kwh").rows() == [
        ("put", own, 1), ("put", other, 2), ("put", own, 3), ("delete", own, None),
    ]  # fmt: skip
    assert own != other
