// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState, type FormEvent } from 'react'
import { Button, Input } from 'antd'
import { get } from '../api/client'
import { ErrorBox, tell } from '../kit/error/ErrorBox'
import { login } from '../live/session'
import { t } from '../texts'
import { Preferences } from './Preferences'
import { Mark } from './Mark'
import { Providers, type Choice } from './Providers'

/** `over`: the session ended while somebody was at work; what they typed stays below. */
export function Login({ over }: { over?: boolean }) {
  const [user, setUser] = useState(localStorage.getItem('ws-user') ?? '')
  const [password, setPassword] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
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
      setPassword('')
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
        <Button type="primary" size="large" htmlType="submit" loading={busy} disabled={!user || !password} block data-test="login">{t('log_in')}</Button>
        {!!choices.length && <Providers choices={choices} onError={setError} />}
        <Preferences />
      </form>
    </div>
  )
}
