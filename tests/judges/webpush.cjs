// Starts web-push-testing on the loopback alone (its own command listens on every interface) and prints the port.
// Ends when its standard input does, so that it never outlives the test.
"use strict";

const { PushApiModel } = require("web-push-testing/src/PushApiModel");
const WebPushTestingServer = require("web-push-testing/src/server");

const model = new PushApiModel();
const judge = new WebPushTestingServer(model, 0);
judge.setRequestHandlers();

const server = judge._app.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  model.notifyUrl = `http://127.0.0.1:${port}/notify/`;
  console.log(port);
});

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
