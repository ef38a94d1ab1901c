// SPDX-License-Identifier: Apache-2.0
// Logging in by an identity provider: a button for each, and the way back from there (/login?code=...&state=...).
import { useEffect, useState } from 'react'
import { Button } from 'antd'
import { post } from '../api/client'
import { loggedIn } from '../live/session'
import { go } from '../router'
import { t } from '../texts'

export interface Choice { provider: string; name: string }
const AFTER = 'ws-after-login'

/** What the browser brought back; it goes from the address at once, so that it is used once and stays in no history. */
function takeBrought(): Record<string, string> | undefined {
  const brought = new URLSearchParams(location.search)
  if (location.pathname !== '/login' || !brought.has('state')) return
  history.replaceState(null, '', '/login')
  return Object.fromEntries(['state', 'code', 'iss', 'error'].flatMap((name) => (brought.has(name) ? [[name, brought.get(name)!]] : [])))
}

export function Providers({ choices, onError }: { choices: Choice[]; onError: (error: unknown) => void }) {
  const [busy, setBusy] = useState<string>()
  const doing = async (what: string, work: () => Promise<unknown>) => {
    setBusy(what)
    onError(undefined)
    try {
      await work()
    } catch (failed) {
      onError(failed)
      setBusy(undefined)
    }
  }
  useEffect(() => {
    const brought = takeBrought()
    if (brought) void doing('back', async () => {
      await post('/sessions/finish_oidc?cookie=true', brought)
      const after = sessionStorage.getItem(AFTER) ?? '/'
      sessionStorage.removeItem(AFTER)
      go(after, { replace: true })
      await loggedIn()
    })
  }, [])
  const leave = (provider: string) => void doing(provider, async () => {
    const { url } = await post<{ url: string }>('/sessions/start_oidc', { provider })
    if (location.pathname !== '/login') sessionStorage.setItem(AFTER, location.pathname + location.search)
    location.assign(url)
  })
  return choices.map(({ provider, name }) => (
    <Button key={provider} size="large" block loading={busy === provider || busy === 'back'} disabled={!!busy} onClick={() => leave(provider)} data-test={`login-by-${provider}`}>{t('log_in_with', { name })}</Button>
  ))
}
