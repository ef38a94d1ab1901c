// SPDX-License-Identifier: Apache-2.0
// The one place that talks to the manager. The session is in a cookie that scripts cannot read.
import type { DryRun, Page } from './generated/types'

export interface Obj { id: string; revision: number; [field: string]: any }

/** An answer that is an error: the manager's own words in the user's language, or that nobody answered. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint?: string,
    readonly field?: string,
    readonly cause_?: string,
    readonly requestId?: string,
    readonly params: Record<string, string> = {},
  ) {
    super(message)
  }
}

/** Nobody is logged in; the second one says so where very many call without a login from the same address. */
export const isLoggedOut = (error: unknown) => error instanceof ApiError && (error.code === 'unauthenticated' || error.code === 'too_many_refusals')

const BASE = '/api/v1'
let language = 'en'
let onLoggedOut: () => void = () => {}
let unreachable = 'The manager does not answer.'

export function configureClient(options: { language?: string; onLoggedOut?: () => void; unreachable?: string }) {
  language = options.language ?? language
  onLoggedOut = options.onLoggedOut ?? onLoggedOut
  unreachable = options.unreachable ?? unreachable
}

let era = 0
/** Requests that are under way were sent with another session: where they are refused, what only reads is sent again. What does something is not: another user
 *  may be here by now. */
export const newEra = () => void era++

const newKey = () => crypto.randomUUID()

async function failed(answer: Response): Promise<ApiError> {
  let body: any = {}
  try {
    body = await answer.json()
  } catch { /* a proxy's page: the status says enough */ }
  return new ApiError(answer.status, body.code ?? 'http', body.message ?? `${answer.status} ${answer.statusText}`, body.hint, body.field, body.cause, body.request_id, body.params)
}

async function send(method: string, path: string, body: BodyInit | undefined, headers: Record<string, string>, signal?: AbortSignal): Promise<Response> {
  let answer: Response
  const mine = era
  for (let tries = 0; ; tries++) {
    try {
      answer = await fetch(BASE + path, { method, body, signal, credentials: 'same-origin', headers: { 'accept-language': language, ...headers } })
      break
    } catch (error) {
      if (signal?.aborted) throw error
      // Asking again does no harm where nothing is changed, or where a key tells the manager that it is the same request.
      if (tries >= 2 || !(method === 'GET' || headers['idempotency-key'])) throw new ApiError(0, 'manager_unreachable', unreachable)
      await new Promise((resolve) => setTimeout(resolve, 300 * (tries + 1)))
    }
  }
  if (answer.ok) return answer
  const error = await failed(answer)
  if (isLoggedOut(error)) {
    if (mine === era) onLoggedOut()
    else if (method === 'GET') return send(method, path, body, headers, signal)
  }
  throw error
}

export async function call<T = any>(method: string, path: string, body?: unknown, more: { ifMatch?: number; signal?: AbortSignal } = {}): Promise<T> {
  const headers: Record<string, string> = {}
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (method === 'POST') headers['idempotency-key'] = newKey()
  if (more.ifMatch !== undefined) headers['if-match'] = `"${more.ifMatch}"`
  const answer = await send(method, path, body === undefined ? undefined : JSON.stringify(body), headers, more.signal)
  const text = await answer.text()
  return text ? JSON.parse(text) : (null as T)
}

export const get = <T = any>(path: string, signal?: AbortSignal) => call<T>('GET', path, undefined, { signal })
export const post = <T = any>(path: string, body: unknown = {}) => call<T>('POST', path, body)
/** All checks, nothing done. */
export const dryRun = (method: string, path: string, body?: unknown) => call<DryRun>(method, `${path}${path.includes('?') ? '&' : '?'}dry_run=true`, body)

export interface Query { filter?: string; sort?: string; fields?: string; limit?: number; cursor?: string }

export function listPath(plural: string, query: Query): string {
  const words = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) if (value !== undefined && value !== '') words.set(key, String(value))
  return `/${plural}${words.size ? '?' + words : ''}`
}

export const list = (plural: string, query: Query = {}, signal?: AbortSignal) => get<Page<Obj>>(listPath(plural, query), signal)

/** A value in a filter. */
export const quoted = (value: string) => (/^[\w.:/@%+-]+$/.test(value) && value ? value : `"${value.replace(/(["\\])/g, '\\$1')}"`)

/** Bytes of a volume that awaits its upload. */
export async function putBytes(volume: string, offset: number, bytes: Blob, signal?: AbortSignal): Promise<number> {
  const answer = await send('PUT', `/volumes/${volume}/data?offset=${offset}`, bytes, { 'content-type': 'application/octet-stream' }, signal)
  return (await answer.json()).received_bytes ?? offset + bytes.size
}

export const socketUrl = (path: string) => `wss://${location.host}${BASE}${path}`
