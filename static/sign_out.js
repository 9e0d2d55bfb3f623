// Signing out throws away what waits to be sent, so it asks first.

import { throwAway, waitingOf } from "./outbox.js";

document.getElementById("sign-out")?.addEventListener("submit", (event) => {
  const { user, unsent } = event.target.dataset;
  if (waitingOf(user) && !confirm(unsent)) { event.preventDefault(); return; }
  throwAway(user);
});
