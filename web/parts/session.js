// Who looks at this page, and what the daemon lets them do. The daemon decides; the page only does not
// offer what would be refused.

import * as api from "./api.js";

export const session = { user: null, permission: null, usage: null };

const ranks = { none: 0, view: 1, operate: 2, admin: 3 };
const rank = () => ranks[session.permission?.dashboard_access] ?? 0;

export const maySee = () => rank() >= 1;
export const mayOperate = () => rank() >= 2;
export const mayAdminister = () => rank() >= 3;
export const mayUse = service => session.permission?.omni_services?.includes(service) ?? false;
/** The operator has no row: flows know it as user 0. */
export const myUser = () => session.user?.id ?? 0;

function adopt(answer) {
  session.user = answer.user;
  session.permission = answer.permission;
  session.usage = answer.usage ?? session.usage;
  api.setToken(answer.csrf_token);
}

/** True when the browser is let in as it is: by its cookie, or by a proxy in front. */
export async function resume() {
  try {
    adopt(await api.get("api/v1/auth/me", { keepsSession: true }));
    return true;
  } catch (failure) {
    if (failure.status === 401 || failure.status === 403) return false;
    throw failure;
  }
}

export async function logIn(credential) {
  adopt(await api.post("api/v1/auth/login", credential, { keepsSession: true }));
}

export async function logOut() {
  try {
    await api.post("api/v1/auth/logout", undefined, { keepsSession: true });
  } finally {
    session.user = session.permission = session.usage = null;
    api.setToken(null);
  }
}
