// Asks the node of argv[2] what wallets ask, by an unchanged @solana/web3.js from GRIDTOKENX_WEB3JS/node_modules.
// Prints one JSON object of what was seen; whatever fails ends it with exit code 1 and the reason on stderr.
'use strict';
const { createRequire } = require('node:module');
const path = require('node:path');
const assert = require('node:assert/strict');

const base = path.resolve(process.env.GRIDTOKENX_WEB3JS, 'package.json');
const web3 = createRequire(base)('@solana/web3.js');
const { AddressLookupTableProgram, Connection, Keypair, PublicKey, SystemProgram, Transaction, TransactionInstruction } = web3;
const { TransactionMessage, VersionedTransaction } = web3;
const MEMO = new PublicKey('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr');

async function main() {
  const connection = new Connection(process.argv[2], 'confirmed');
  const payer = Keypair.generate();
  const seen = {};

  const confirm = async (signature) => {
    const latest = await connection.getLatestBlockhash();
    // An error on chain comes back as a value from the websocket, and as a rejection where polling finds it first.
    const strategy = { signature, ...latest };
    return connection.confirmTransaction(strategy, 'confirmed').then(({ value }) => value.err, (error) => error);
  };

  // Airdrop, confirmed over the websocket.
  assert.equal(await confirm(await connection.requestAirdrop(payer.publicKey, 2e9)), null);
  seen.balance = await connection.getBalance(payer.publicKey);

  // A legacy transfer by the helper that everybody uses.
  const to = Keypair.generate().publicKey;
  const transfer = (lamports, key = to) =>
    SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: key, lamports });
  await web3.sendAndConfirmTransaction(connection, new Transaction().add(transfer(1e7)), [payer]);
  seen.transferred = await connection.getBalance(to);

  // A lookup table, made from a recent slot, extended, and loaded from one slot later.
  const v0 = async (instructions, tables = []) => {
    const { blockhash } = await connection.getLatestBlockhash();
    const message = new TransactionMessage({ payerKey: payer.publicKey, recentBlockhash: blockhash, instructions });
    const transaction = new VersionedTransaction(message.compileToV0Message(tables));
    transaction.sign([payer]);
    return transaction;
  };
  const recentSlot = await connection.getSlot();
  const owner = { authority: payer.publicKey, payer: payer.publicKey };
  const [create, lookupTable] = AddressLookupTableProgram.createLookupTable({ ...owner, recentSlot });
  const held = Array.from({ length: 20 }, () => Keypair.generate().publicKey);
  const extend = AddressLookupTableProgram.extendLookupTable({ ...owner, lookupTable, addresses: held });
  assert.equal(await confirm(await connection.sendTransaction(await v0([create, extend]))), null);
  const table = (await connection.getAddressLookupTable(lookupTable)).value;
  assert.deepEqual(table.state.addresses.map(String), held.map(String));
  await nextSlot(connection, seen);
  const memo = new TransactionInstruction({ programId: MEMO, keys: [], data: Buffer.from('from web3.js') });
  const spending = [memo, ...held.map((key) => transfer(1e6, key))];
  const loading = await v0(spending, [table]);
  seen.simulated = (await connection.simulateTransaction(loading)).value.err;
  const signature = await connection.sendTransaction(loading);
  assert.equal(await confirm(signature), null);
  seen.loadedBytes = loading.serialize().length;

  const options = { commitment: 'confirmed', maxSupportedTransactionVersion: 0 };
  const landed = await connection.getTransaction(signature, options);
  seen.loaded = landed.meta.loadedAddresses.writable.map(String).sort();
  seen.held = held.map(String).sort();
  assert.equal(landed.transaction.message.getAccountKeys({ accountKeysFromLookups: landed.meta.loadedAddresses }).length,
    landed.meta.postBalances.length);
  const parsed = await connection.getParsedTransaction(signature, options);
  seen.memo = parsed.transaction.message.instructions[0].parsed;
  seen.tableKeys = parsed.transaction.message.accountKeys.filter((key) => key.source === 'lookupTable').length;
  seen.ofLoaded = (await connection.getSignaturesForAddress(held[0], {}, 'confirmed')).map((each) => each.signature);
  seen.signature = signature;

  // Accounts, parsed as far as the node parses: system accounts come back as bytes.
  const account = await connection.getParsedAccountInfo(held[0]);
  seen.parsedAccount = [account.value.lamports, Buffer.isBuffer(account.value.data)];
  seen.statuses = (await connection.getSignatureStatuses([signature])).value[0].err;

  // A failure on chain is told over the websocket; one in preflight by an error with its logs.
  const bad = new TransactionInstruction({ programId: MEMO, keys: [], data: Buffer.from([0xff]) });
  seen.chainError = await confirm(await connection.sendTransaction(await v0([bad]), { skipPreflight: true }));
  seen.preflight = await connection.sendTransaction(await v0([bad])).catch((error) => error.constructor.name);
  console.log(JSON.stringify(seen));
}

function nextSlot(connection, seen) {
  return new Promise((resolve) => {
    const subscription = connection.onSlotChange(({ slot, parent }) => {
      seen.slotsFollow = slot === parent + 1;
      connection.removeSlotChangeListener(subscription).then(resolve);
    });
  });
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
