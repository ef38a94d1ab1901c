// SPDX-License-Identifier: Apache-2.0
// The frame: head, tree, page, tasks. It stays while pages change.
import { Suspense, useEffect } from 'react'
import { ConfigProvider } from 'antd'
import { pluralOf, resource } from '../api/contract'
import { ContextMenu } from '../kit/menu'
import { Fence } from '../kit/error/ErrorBox'
import { To } from '../kit/Name'
import { Overlay } from '../kit/overlay'
import { Toasts } from '../kit/toast'
import { usePref } from '../kit/prefs'
import { clock } from '../kit/format'
import { useLink } from '../live/link'
import { enter, useSession } from '../live/session'
import { addressOf, pageOf } from '../pages/registry'
import { usePath } from '../router'
import { t } from '../texts'
import { antTheme, useTheme } from '../theme/theme'
import { Header } from './Header'
import { useKeys } from './keys'
import { Login } from './Login'
import { ObjectPage } from './ObjectPage'
import { ListPage } from './ListPage'
import { Palette } from './Palette'
import { TaskBar } from './TaskBar'
import { TreePane } from './TreePane'
import { part } from '../kit/part'

const Home = part(() => import('../pages/sites/Home'))

export function App() {
  const session = useSession()
  const theme = useTheme()
  useEffect(() => void enter(), [])
  return (
    <ConfigProvider theme={antTheme(theme)} button={{ autoInsertSpace: false }} componentSize="middle">
      {session.state === 'in' ? <Frame /> : session.state === 'asking' ? <div className="asking" /> : session.state === 'unreachable' ? <Unreachable /> : session.expired ? <><Frame /><Login over /></> : <Login />}
      <Toasts />
    </ConfigProvider>
  )
}

function Unreachable() {
  useEffect(() => {
    const timer = setInterval(() => void enter(), 2000)
    return () => clearInterval(timer)
  }, [])
  return <div className="center"><div className="panel pad" role="alert">{t('manager_away')}</div></div>
}

function Frame() {
  const [treeWidth, setTreeWidth] = usePref('tree-width', 280)
  const [treeOpen, setTreeOpen] = usePref('tree-open', innerWidth > 820)
  useLink() // all that offers verbs is painted anew: none is offered on what is old
  useKeys({ toggleTree: () => setTreeOpen(!treeOpen) })
  return (
    <div className="frame">
      <a className="skip" href="#page">{t('skip_to_page')}</a>
      <Header toggleTree={() => setTreeOpen(!treeOpen)} />
      <LinkBar />
      <div className="middle">
        {treeOpen && <TreePane width={treeWidth} setWidth={setTreeWidth} />}
        <main className="page" id="page"><Page /></main>
      </div>
      <TaskBar />
      <Overlay />
      <ContextMenu />
      <Palette />
    </div>
  )
}

/** Live data has stopped: since when, and that it is being tried. */
function LinkBar() {
  const state = useLink()
  if (state.state === 'up' || !state.told) return null
  return <div className="linkbar" role="status" data-test="linkbar">{t('live_stopped', { time: clock(state.lastMs) })}</div>
}

function Page() {
  const path = usePath()
  const steps = path.split('/').filter(Boolean)
  const [plural, id, tab] = steps
  const own = addressOf(path)
  useEffect(() => {
    document.title = `${own?.title() ?? (plural && resource(plural)?.many) ?? ''} WinSphere`.trim()
  }, [path, own, plural])
  const content = own ? <own.page />
    : !plural || path === '/login' ? <Home />
    : id && pluralOf(id) === plural ? <ObjectPage key={id} plural={plural} id={id} tab={tab ?? 'summary'} />
    : resource(plural) && !id ? <ListPage key={plural} plural={plural} page={pageOf(plural)} />
    : <div className="nothing"><p>{t('no_such_page')}</p><To to="/">{t('to_home')}</To></div>
  return <Fence resetKey={path}><Suspense fallback={<div className="skeleton" aria-busy aria-label={t('loading')} />}>{content}</Suspense></Fence>
}

