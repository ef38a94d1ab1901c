// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState, type FormEvent } from 'react'
import { Button, Input } from 'antd'
import { ApiError, get } from '../api/client'
import { ErrorBox, tell } from '../kit/error/ErrorBox'
import { login } from '../live/session'
import { t } from '../texts'
import { Preferences } from './Preferences'
import { Mark } from './Mark'
import { Providers, type Choice } from './Providers'

/** Too many failed: seconds until the manager looks at the next try, counted down; 0: now. Of that user alone. */
function useWait(user: string): [number, (seconds: number) => void] {
  const [until, setUntil] = useState<{ user: string; at: number }>()
  const [now, setNow] = useState(Date.now)
  const left = until && until.user === user ? Math.max(0, Math.ceil((until.at - now) / 1000)) : 0
  useEffect(() => {
    if (!left) return
    const timer = setInterval(() => setNow(Date.now()), 500)
    return () => clearInterval(timer)
  }, [left > 0])
  return [left, (seconds) => {
    setNow(Date.now())
    setUntil({ user, at: Date.now() + seconds * 1000 })
  }]
}

/** `over`: the session ended while somebody was at work; what they typed stays below. */
export function Login({ over }: { over?: boolean }) {
  const [user, setUser] = useState(localStorage.getItem('ws-user') ?? '')
  const [password, setPassword] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const [wait, setWait] = useWait(user)
  const [choices, setChoices] = useState<Choice[]>([])
  useEffect(() => void get<{ items?: Choice[] }>('/identity-providers/choices').then((found) => setChoices(found.items ?? []), () => undefined), [])
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      await login(user, password)
      localStorage.setItem('ws-user', user)
    } catch (failed) {
      setError(failed)
      if (failed instanceof ApiError && failed.code === 'login_throttled') setWait(Number(failed.params.seconds) || 0)
      else setPassword('')
    } finally {
      setBusy(false)
    }
  }
  return (
    <div className={`login${over ? ' over' : ''}`}>
      <form onSubmit={(e) => void submit(e)} aria-label={t('log_in')}>
        <div className="brand"><Mark size={34} /> <span>WinSphere</span></div>
        {over && <p role="status">{t('session_ended')}</p>}
        <label><span>{t('user')}</span><Input name="user" size="large" autoComplete="username" autoFocus={!user} value={user} onChange={(e) => setUser(e.target.value)} /></label>
        <label><span>{t('password')}</span><Input.Password name="password" size="large" autoComplete="current-password" autoFocus={!!user} value={password} onChange={(e) => setPassword(e.target.value)} /></label>
        {error !== undefined && <ErrorBox error={tell(error)} />}
        <Button type="primary" size="large" htmlType="submit" loading={busy} disabled={!user || !password || !!wait} block data-test="login">{wait ? t('log_in_wait', { seconds: wait }) : t('log_in')}</Button>
        {!!choices.length && <Providers choices={choices} onError={setError} />}
        <Preferences />
      </form>
    </div>
  )
}
