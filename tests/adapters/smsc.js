// An SMSC of another project (npm "smpp") that misbehaves on purpose. It says its port on the first
// line, then one JSON line for each message it has taken, before it answers.
const smpp = require("smpp");
const fs = require("fs");
const [throttled, cut, early, ledger] = process.argv.slice(2);
let next = 1;
let count = 0;
const out = fs.openSync(ledger, "a");

const receipt = (id) => ({
  source_addr: "380501234567",
  destination_addr: "Shop",
  esm_class: 4,
  short_message: `id:${String(id).padStart(10, "0")} sub:001 dlvrd:001 submit date:2611301000 done date:2611301001 stat:DELIVRD err:000 text:hi`,
});

// A receipt stays until it is acknowledged, and goes to the next bind if its own was lost.
const unacknowledged = new Set();
const deliver = (session, id) => {
  unacknowledged.add(id);
  session.deliver_sm(receipt(id), (pdu) => { if (pdu.command_status === 0) unacknowledged.delete(id); });
};

const server = smpp.createServer((session) => {
  session.on("error", () => {});
  session.on("bind_transceiver", (pdu) => {
    session.send(pdu.response());
    for (const id of [...unacknowledged]) deliver(session, id);
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => { session.send(pdu.response()); session.close(); });
  session.on("submit_sm", (pdu) => {
    count += 1;
    if (throttled > 0 && count % throttled === 0) {
      session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
      return;
    }
    const id = next++;
    const text = pdu.short_message.message.toString();
    fs.writeSync(out, JSON.stringify({ id, to: pdu.destination_addr, text }) + "\n");
    if (cut > 0 && count % cut === 0) {
      session.destroy();
      return;
    }
    const answer = () => session.send(pdu.response({ message_id: id.toString(16) }));
    if (early > 0 && count % early === 0) {
      deliver(session, id);
      setTimeout(answer, 5);
    } else {
      answer();
      deliver(session, id);
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
