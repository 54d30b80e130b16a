"""Putting a program on a cluster through the upgradeable loader: what is missing, what it costs, doing it, checking it.

Nothing is remembered here. The buffer's key follows from the payer's, the id and the image, so a run that was interrupted
is taken up by the next from what the chain shows: it writes the parts that are missing and goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from solana.rpc.commitment import Confirmed
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import AllocateParams, AssignParams, TransferParams, allocate, assign, transfer

from ..client import RpcPool
from . import loader
from .landing import Landing, LandingFailed, Signed

PART_BYTES = 1010
"""Image bytes of a write: what a transaction of 1,232 bytes with one signature has room for."""
MAINNET_BETA = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
LAMPORTS_PER_SIGNATURE = 5000


class DeployRefused(Exception):
    """The cluster, or what it has at a program's id, forbids to go on; nothing was changed. The message says why."""


class DeployFailed(Exception):
    """The program is not there as it should be. The message says what happened; running again goes on from there."""


@dataclass(frozen=True)
class Work:
    """What is left to do for one program, and its cost in lamports.

    `missing` are offsets of the image's parts that the buffer lacks. Of the cost, `fee_lamports` are paid, `rent_lamports`
    stay in the program's accounts, and `lent_lamports` come back with the buffer's end.
    """

    program: str
    key: Keypair = field(repr=False)  # a keypair's repr is its secret
    image: bytes
    action: Literal["none", "deploy", "upgrade"]
    missing: tuple[int, ...]
    new_buffer: bool
    fee_lamports: int
    rent_lamports: int
    lent_lamports: int

    @property
    def program_id(self) -> Pubkey:
        """The id that the program has or will have."""
        return self.key.pubkey()

    @property
    def transactions(self) -> int:
        """Transactions to be sent."""
        return 0 if self.action == "none" else len(self.missing) + self.new_buffer + 1


async def check_cluster(rpc: RpcPool, *, allow_mainnet: bool) -> None:
    """Raise `DeployRefused` on mainnet-beta, known by its genesis hash, unless `allow_mainnet`."""
    genesis = str((await rpc.call("get_genesis_hash")).value)
    if genesis == MAINNET_BETA and not allow_mainnet:
        raise DeployRefused("this is mainnet-beta, and the programs are unaudited; --i-know deploys them all the same")


class Deployer:
    """Deploys programs that `payer` pays for and may upgrade afterwards."""

    def __init__(self, rpc: RpcPool, payer: Keypair, *, poll_s: float = 0.5) -> None:
        self._rpc, self._payer = rpc, payer
        self._landing = Landing(rpc, payer, poll_s=poll_s)

    async def survey(self, program: str, key: Keypair, image: bytes) -> Work:
        """Return what is left to do for `image` to be the program at the id of `key`.

        Raises `DeployRefused` where the id is something else or another key's to upgrade, or has too little room, and
        what `RpcPool.call` raises.
        """
        action = await self._action(program, key.pubkey(), image)
        if action == "none":
            return Work(program, key, image, action, (), False, 0, 0, 0)
        buffer = self._buffer(key, image).pubkey()
        held = await self._account(buffer)
        new_buffer = held is None or not held.data
        written = b"" if new_buffer else self._written(program, buffer, held, len(image))
        missing = tuple(at for at in range(0, len(image), PART_BYTES) if written[at : at + PART_BYTES] != _part(image, at))
        rent = 0
        if action == "deploy":
            rent = await self._rent(loader.PROGRAM_BYTES) + await self._rent(loader.DATA_HEADER + len(image))
        lent = await self._rent(loader.BUFFER_HEADER + len(image)) if new_buffer else 0
        signatures = len(missing) + 2 * new_buffer + (2 if action == "deploy" else 1)
        return Work(program, key, image, action, missing, new_buffer, signatures * LAMPORTS_PER_SIGNATURE, rent, lent)

    async def carry_out(self, work: Work, landed: Callable[[], None] = lambda: None) -> str:
        """Do `work`, calling `landed` after every transaction that has; return the sha256 of the image that is there.

        Raises `DeployFailed`, and what `RpcPool.call` raises; both leave what was written for the next run.
        """
        if work.action != "none":
            payer, buffer = self._payer.pubkey(), self._buffer(work.key, work.image)
            if work.new_buffer:
                size = loader.BUFFER_HEADER + len(work.image)
                made = await self._make(buffer.pubkey(), size)
                made.append(loader.initialize_buffer(buffer.pubkey(), payer))
                await self._land(work, [Signed(made, (buffer,))], landed, rehearse=True)
            parts = [Signed([loader.write(buffer.pubkey(), payer, at, _part(work.image, at))]) for at in work.missing]
            await self._land(work, parts, landed)
            await self._land(work, [await self._last(work, buffer.pubkey())], landed, rehearse=True)
        return await self._verify(work)

    async def _last(self, work: Work, buffer: Pubkey) -> Signed:
        payer = self._payer.pubkey()
        if work.action == "upgrade":
            return Signed([loader.upgrade(work.program_id, buffer, payer, payer)])
        made = await self._make(work.program_id, loader.PROGRAM_BYTES)
        return Signed([*made, loader.deploy(payer, work.program_id, buffer, payer, len(work.image))], (work.key,))

    async def _land(
        self, work: Work, transactions: Sequence[Signed], landed: Callable[[], None], *, rehearse: bool = False
    ) -> None:
        try:
            for transaction in transactions if rehearse else ():
                await self._landing.rehearse(transaction)
            await self._landing.land(transactions, landed)
        except LandingFailed as error:
            raise DeployFailed(f"{work.program}: {error}") from error

    async def _action(self, program: str, address: Pubkey, image: bytes) -> Literal["none", "deploy", "upgrade"]:
        account = await self._account(address)
        # An address that somebody sent lamports to is still free.
        if account is None or (account.owner == loader.SYSTEM_PROGRAM and not account.data):
            return "deploy"
        holder = loader.read_program(account.data) if account.owner == loader.LOADER else None
        if holder is None:
            raise DeployRefused(f"{program}: {address} is taken by an account of {account.owner}")
        found = await self._program_data(holder)
        if found is None:
            raise DeployRefused(f"{program}: the program at {address} was closed; its id can never be used again")
        if _holds(found.image, image):
            return "none"
        if found.authority != self._payer.pubkey():
            who = f"{found.authority} may upgrade it" if found.authority else "it is final"
            raise DeployRefused(f"{program}: another image is at {address}, and {who}")
        if len(found.image) < len(image):
            raise DeployRefused(
                f"{program}: {address} has room for {len(found.image)} bytes, not for {len(image)}; "
                f"run: solana program extend {address} {len(image) - len(found.image)}"
            )
        return "upgrade"

    def _written(self, program: str, address: Pubkey, account: Any, size: int) -> bytes:
        buffer = loader.read_buffer(account.data) if account.owner == loader.LOADER else None
        if buffer is None or buffer.authority != self._payer.pubkey() or len(buffer.image) != size:
            raise DeployRefused(f"{program}: the buffer {address} is not as this payer makes it")
        return buffer.image

    async def _verify(self, work: Work) -> str:
        account = await self._account(work.program_id)
        address = loader.program_data_address(work.program_id)
        found = await self._program_data(address)
        if account is None or not account.executable or loader.read_program(account.data) != address or found is None:
            raise DeployFailed(f"{work.program}: there is no program at {work.program_id}")
        wanted, digest = (hashlib.sha256(data).hexdigest() for data in (work.image, found.image[: len(work.image)]))
        if digest != wanted or not _holds(found.image, work.image):
            raise DeployFailed(f"{work.program}: the image at {work.program_id} has sha256 {digest}, not {wanted}")
        return digest

    async def _make(self, address: Pubkey, size: int) -> list[Instruction]:
        """Return what makes an account of the loader at `address`, which may have lamports already."""
        held = await self._account(address)
        short = await self._rent(size) - (held.lamports if held else 0)
        pay = TransferParams(from_pubkey=self._payer.pubkey(), to_pubkey=address, lamports=short)
        make = [transfer(pay)] if short > 0 else []
        make.append(allocate(AllocateParams(pubkey=address, space=size)))
        return [*make, assign(AssignParams(pubkey=address, owner=loader.LOADER))]

    def _buffer(self, key: Keypair, image: bytes) -> Keypair:
        secret = self._payer.secret() + bytes(key.pubkey()) + hashlib.sha256(image).digest()
        return Keypair.from_seed(hashlib.sha256(b"gridtokenx-pipeline/buffer" + secret).digest())

    async def _program_data(self, address: Pubkey) -> loader.ProgramData | None:
        account = await self._account(address)
        return loader.read_program_data(account.data) if account is not None and account.owner == loader.LOADER else None

    async def _account(self, address: Pubkey) -> Any:
        return (await self._rpc.call("get_account_info", address, Confirmed)).value

    async def _rent(self, size: int) -> int:
        return int((await self._rpc.call("get_minimum_balance_for_rent_exemption", size)).value)


def _part(image: bytes, at: int) -> bytes:
    return image[at : at + PART_BYTES]


def _holds(room: bytes, image: bytes) -> bool:
    """Return whether `room` begins with `image` and has zeros after it."""
    return room.startswith(image) and not any(room[len(image) :])
