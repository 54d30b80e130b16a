"""Fragments, documents made of them, extensions, resources of a named class, and the draft schema."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from ieee2030_5.enums import ControlModes, CurveType, DerKind, DoeModes
from ieee2030_5.extensions.csip_aus import ConnectionPoint
from ieee2030_5.extensions.p2p import AgreementStatus, BilateralAgreement, P2PCapability, Role, Trade, TradeList
from ieee2030_5.namespaces import CSIP_AUS, DRAFT, P2P, SEP
from ieee2030_5.resources import (
    ActivePower,
    CurrentRMS,
    DateTimeInterval,
    DERCapability,
    DERControl,
    DERControlBase,
    DERControlList,
    DERControlResponse,
    DERCurve,
    DERSettings,
    DrResponse,
    EndDevice,
    FunctionSetAssignmentsList,
    Link,
    ListLink,
    Notification,
    PowerFactor,
    PowerFactorWithExcitation,
    Resource,
    Response,
    ResponseList,
    Time,
)
from ieee2030_5.xml import (
    InvalidResource,
    UnknownNamespace,
    decode,
    document,
    encode,
    encode_fragment,
    list_document,
    parse,
)

LIMITED = DERControl(href="/derp/1/derc/1", der_control_base=DERControlBase(op_mod_imp_lim_w=ActivePower(multiplier=0, value=5)))


def test_extensions_are_written_only_to_those_who_ask_and_always_read() -> None:
    plain, extended = encode(LIMITED), encode(LIMITED, [CSIP_AUS])
    assert b"csipaus" not in plain
    assert b'<DERControl xmlns="urn:ieee:std:2030.5:ns" xmlns:csipaus="https://csipaus.org/ns" href=' in extended
    assert b"<csipaus:opModImpLimW><multiplier>0</multiplier><value>5</value></csipaus:opModImpLimW>" in extended
    assert decode(parse(extended), DERControl) == LIMITED
    assert decode(parse(plain), DERControl) == DERControl(href="/derp/1/derc/1", der_control_base=DERControlBase())


def test_a_namespace_is_declared_only_where_it_is_used() -> None:
    assert b"csipaus" not in encode(EndDevice(sfdi=1), [CSIP_AUS])
    assert b"csipaus" in encode(EndDevice(connection_point_link=Link(href="/edev/1/cp")), [CSIP_AUS])


def test_an_extension_element_in_the_standards_namespace_is_not_taken_for_one() -> None:
    root = parse(f'<DERCapability xmlns="{SEP}"><doeModesSupported>0F</doeModesSupported></DERCapability>'.encode())
    assert decode(root, DERCapability) == DERCapability()


def test_an_unknown_extension_is_not_written_silently() -> None:
    with pytest.raises(ValueError, match="csip_aus"):
        encode(LIMITED, ["csip_aus"])


@pytest.mark.parametrize("name", ["connectionPointId", "id"])
def test_connection_points_are_read_as_both_versions_write_them(name: str) -> None:
    body = f'<csipaus:ConnectionPoint xmlns:csipaus="{CSIP_AUS}"><csipaus:{name}>NMI1</csipaus:{name}></csipaus:ConnectionPoint>'
    assert decode(parse(body.encode(), namespaces=[CSIP_AUS]), ConnectionPoint) == ConnectionPoint(connection_point_id="NMI1")
    with pytest.raises(UnknownNamespace):
        parse(body.encode())


def items(count: int) -> list[DERControl]:
    return [DERControl(href=f"/derp/1/derc/{n}", mrid=f"{n:032X}") for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_made_of_fragments_is_the_list_encoded_whole(count: int) -> None:
    whole = DERControlList(href="/derp/1/derc", subscribable=1, all=7, results=count, der_controls=items(count))
    made = list_document(
        DERControlList,
        href="/derp/1/derc",
        all=7,
        results=count,
        subscribable=1,
        poll_rate=900,
        fragments=(encode_fragment(item) for item in items(count)),
    )
    assert made == encode(whole)


def test_a_list_has_the_poll_rate_only_where_its_class_does() -> None:
    made = list_document(FunctionSetAssignmentsList, href="/x", all=0, results=0, poll_rate=60, fragments=[])
    assert made.endswith(b' href="/x" all="0" results="0" pollRate="60"/>')


def test_a_list_with_an_extension_in_an_item_declares_it() -> None:
    fragments = [encode_fragment(items(1)[0]), encode_fragment(LIMITED, [CSIP_AUS])]
    made = list_document(DERControlList, href="/d", all=2, results=2, fragments=fragments)
    assert decode(parse(made), DERControlList).der_controls == [items(1)[0], LIMITED]


def test_responses_of_any_class_stand_in_one_list_under_one_name() -> None:
    responses = [
        Response(subject="0A" * 16),
        DERControlResponse(status=1),
        DrResponse(href="/rsps/1/rsp/3", override_duration=5),
        DrResponse(),
    ]
    whole = ResponseList(href="/r", all=4, results=4, responses=responses)
    made = list_document(ResponseList, href="/r", all=4, results=4, fragments=map(encode_fragment, responses))
    assert made == encode(whole)
    assert {etree.QName(child).localname for child in parse(made)} == {"Response"}
    assert decode(parse(made), ResponseList) == whole


@pytest.mark.parametrize(
    "changed", [None, Resource(href="/a"), Time(current_time=1), DERControlList(all=1, results=1, der_controls=items(1))]
)
def test_a_notification_carries_any_resource(changed: Any) -> None:
    sent = Notification(subscribed_resource="/tm", resource=changed, status=0, subscription_uri="/edev/1/sub/1")
    assert decode(parse(encode(sent)), Notification) == sent


@pytest.mark.parametrize("named", ["Nothing", "Link", "DateTimeInterval", ""])
def test_a_resource_of_a_class_that_cannot_stand_there_is_refused(named: str) -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    root = parse(f'<Notification xmlns="{SEP}"><Resource {xsi} xsi:type="{named}"/></Notification>'.encode())
    with pytest.raises(InvalidResource) as caught:
        decode(root, Notification)
    assert caught.value.element == "Notification/Resource"


def test_peer_to_peer_resources_are_in_a_namespace_of_their_own_throughout() -> None:
    trade = Trade(
        href="/p2p/trd/1",
        amount=75_000,
        counterparty_meter_id="STANFORD-004",
        energy_wh=500,
        interval=DateTimeInterval(start=1782072000, duration=300),
        price=150_000,
        role=Role.SELLER,
        trade_id="7b0f2a2e-9a5e-5b0e-8f3e-0d4f0a6f2a11",
        version=1,
    )
    body = encode(TradeList(href="/p2p/trd", all=1, results=1, trades=[trade]))
    assert body == list_document(TradeList, href="/p2p/trd", all=1, results=1, fragments=[encode_fragment(trade)])
    root = parse(body, namespaces=[P2P])
    assert {etree.QName(element).namespace for element in root.iter()} == {P2P}
    assert decode(root, TradeList).trades == [trade]
    with pytest.raises(UnknownNamespace):
        parse(body)
    with pytest.raises(InvalidResource, match=f"expected TradeList in {P2P}"):
        decode(parse(body.replace(P2P.encode(), SEP.encode())), TradeList)
    assert document(encode_fragment(trade), P2P) == encode(trade)


def test_peer_to_peer_words_are_checked_both_ways() -> None:
    agreement = BilateralAgreement(role="seller", status=AgreementStatus.PROPOSED)
    body = encode(agreement)
    assert decode(parse(body, namespaces=[P2P]), BilateralAgreement) == agreement
    with pytest.raises(InvalidResource, match=r"proposed\|accepted\|rejected\|cancelled"):
        decode(parse(body.replace(b">proposed<", b">agreed<"), namespaces=[P2P]), BilateralAgreement)
    with pytest.raises(InvalidResource, match="BilateralAgreement/role"):
        encode(BilateralAgreement(role="broker"))


def test_the_entry_to_peer_to_peer_trading_is_the_golden_text() -> None:
    entry = P2PCapability(href="/p2p", currency=840, interval_length=300, trade_list_link=ListLink(href="/p2p/trd", all=2))
    assert encode(entry).decode() == (
        '<P2PCapability xmlns="urn:gridtokenx:p2p:1" href="/p2p"><currency>840</currency>'
        '<intervalLength>300</intervalLength><TradeListLink href="/p2p/trd" all="2"/></P2PCapability>'
    )


def test_ratings_of_the_draft_become_those_of_the_standard() -> None:
    # Modes 0 (volt-var), 11 (connect), 15 (fixed power factor), 20 (discharge); combined photovoltaics and storage.
    body = f"""<DERCapability xmlns="{DRAFT}"><modesSupported>00108801</modesSupported>
        <rtgA><multiplier>0</multiplier><value>21</value></rtgA>
        <rtgMaxDischargeRateW><multiplier>0</multiplier><value>7</value></rtgMaxDischargeRateW>
        <rtgMinPF><displacement>800</displacement><multiplier>-3</multiplier></rtgMinPF>
        <rtgMinPFNeg><displacement>-850</displacement><multiplier>-3</multiplier></rtgMinPFNeg>
        <rtgW><multiplier>3</multiplier><value>5</value></rtgW><type>82</type></DERCapability>"""
    assert decode(parse(body.encode()), DERCapability) == DERCapability(
        modes_supported=ControlModes.VOLT_VAR
        | ControlModes.CONNECT
        | ControlModes.FIXED_PF_ABSORB_W
        | ControlModes.FIXED_PF_INJECT_W
        | ControlModes.DISCHARGE,
        rtg_max_a=CurrentRMS(multiplier=0, value=21),
        rtg_max_discharge_rate_w=ActivePower(multiplier=0, value=7),
        rtg_min_pf_over_excited=PowerFactor(displacement=800, multiplier=-3),
        rtg_min_pf_under_excited=PowerFactor(displacement=850, multiplier=-3),
        rtg_max_w=ActivePower(multiplier=3, value=5),
        type=DerKind.PHOTOVOLTAIC_AND_STORAGE,
    )
    # The same names and codes mean nothing, or something else, in the standard's namespace.
    standard = decode(parse(body.replace(DRAFT, SEP).replace("-850", "850").encode()), DERCapability)
    assert (standard.rtg_max_a, standard.rtg_max_w, standard.type) == (None, None, DerKind.EVSE)
    assert standard.modes_supported == 0x00108801


@pytest.mark.parametrize(("displacement", "excitation"), [(950, False), (-950, True)])
def test_a_signed_power_factor_of_the_draft_says_its_excitation(displacement: int, excitation: bool) -> None:
    factor = f"<opModFixedPF><displacement>{displacement}</displacement><multiplier>-3</multiplier></opModFixedPF>"
    control = decode(
        parse(f'<DERControl xmlns="{DRAFT}"><DERControlBase>{factor}</DERControlBase></DERControl>'.encode()), DERControl
    )
    assert control.der_control_base is not None
    assert control.der_control_base.op_mod_fixed_pf_inject_w == PowerFactorWithExcitation(
        displacement=950, excitation=excitation, multiplier=-3
    )


def test_settings_and_curves_of_the_draft_are_read_by_its_codes() -> None:
    settings = f'<DERSettings xmlns="{DRAFT}"><modesEnabled>02</modesEnabled><setMinPF><displacement>9</displacement></setMinPF></DERSettings>'
    assert decode(parse(settings.encode()), DERSettings) == DERSettings(
        modes_enabled=ControlModes.FREQ_WATT, set_min_pf_over_excited=PowerFactor(displacement=9)
    )
    curve = f'<DERCurve xmlns="{DRAFT}"><curveType>{{}}</curveType></DERCurve>'
    assert decode(parse(curve.format(0).encode()), DERCurve).curve_type == CurveType.VOLT_VAR
    with pytest.raises(InvalidResource, match="DERCurve/curveType"):
        decode(parse(curve.format(11).encode()), DERCurve)


def test_a_rating_given_by_both_names_is_refused() -> None:
    twice = "".join(f"<{name}><multiplier>0</multiplier><value>1</value></{name}>" for name in ("rtgA", "rtgMaxA"))
    with pytest.raises(InvalidResource, match="more than once"):
        decode(parse(f'<DERCapability xmlns="{DRAFT}">{twice}</DERCapability>'.encode()), DERCapability)


def test_limits_of_csip_aus_are_one_octet() -> None:
    body = encode(DERCapability(doe_modes_supported=DoeModes.EXPORT_LIMIT | DoeModes.IMPORT_LIMIT), [CSIP_AUS])
    assert b"<csipaus:doeModesSupported>03</csipaus:doeModesSupported>" in body
