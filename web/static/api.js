// SPDX-License-Identifier: Apache-2.0
// The one place that talks to the manager. The session lives in a cookie that scripts cannot read.
export class ApiError extends Error {
  constructor(body, status) {
    super([body.message, body.hint].filter(Boolean).join(' '));
    this.code = body.code;
    this.status = status;
    this.requestId = body.request_id;
  }
}

export async function api(method, path, body) {
  const answer = await fetch('/api/v1' + path, {
    method,
    credentials: 'same-origin',
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  const data = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new ApiError(data ?? { message: answer.statusText }, answer.status);
  return data;
}

export function socket(path) {
  return new WebSocket(`wss://${location.host}/api/v1${path}`);
}
