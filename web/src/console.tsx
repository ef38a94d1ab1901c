// SPDX-License-Identifier: Apache-2.0
// The console in a window of its own: /console.html#vm=vm-7, with #ticket=... from a link of winctl.
import { createRoot } from 'react-dom/client'
import { ConfigProvider } from 'antd'
import { useEffect } from 'react'
import './theme/generated/theme.css'
import './theme/frame.css'
import { configureClient } from './api/client'
import { loadContract } from './api/contract'
import { Login } from './frame/Login'
import { Console } from './kit/console/Console'
import { Missing } from './kit/error/ErrorBox'
import { Name } from './kit/Name'
import { Overlay } from './kit/overlay'
import { Toasts } from './kit/toast'
import { enter, useSession } from './live/session'
import { useObject } from './live/store'
import { loadTexts, preferredLanguage, t } from './texts'
import { antTheme, useTheme } from './theme/theme'

const language = preferredLanguage()
const params = new URLSearchParams(location.hash.slice(1))
const ticket = params.get('ticket') ?? undefined
const id = params.get('vm') ?? ''
history.replaceState(null, '', `#vm=${id}`) // the ticket is good for once: not for the history

function Window() {
  const session = useSession()
  const theme = useTheme()
  useEffect(() => void enter(), [])
  return (
    <ConfigProvider theme={antTheme(theme)} button={{ autoInsertSpace: false }}>
      {session.state === 'in' || (session.state === 'out' && session.expired) ? <Machine /> : session.state === 'asking' ? null : <Login />}
      <Overlay />
      <Toasts />
    </ConfigProvider>
  )
}

function Machine() {
  const { object, error } = useObject(id)
  useEffect(() => {
    if (object?.name) document.title = object.name
  }, [object?.name])
  if (!object) return error ? <Missing id={id} error={error} /> : null
  return (
    <main className="consolewindow">
      <h1 className="sr"><Name text={object.name} /></h1>
      <Console vm={object} window ticket={ticket} />
    </main>
  )
}

await Promise.all([loadTexts(language), loadContract(language)])
configureClient({ language, unreachable: t('manager_away') })
createRoot(document.getElementById('root')!).render(<Window />)
