// SPDX-License-Identifier: Apache-2.0
import { useRef, useState } from 'react'
import { Button, Dropdown, Popover } from 'antd'
import { Icon, Glyph } from '../kit/state/glyphs'
import { look, word } from '../api/contract'
import { To } from '../kit/Name'
import { useRows } from '../live/store'
import { logout, may, sessionNow } from '../live/session'
import { go } from '../router'
import { t } from '../texts'
import { zone } from '../kit/format'
import { openOverlay } from '../kit/overlay'
import { KeyMap } from './KeyMap'
import { Mark } from './Mark'
import { openPalette } from './paletteState'
import { Preferences } from './Preferences'
import { resources } from '../api/contract'

const LEVELS = ['critical', 'major', 'minor', 'info']

export function Header({ toggleTree }: { toggleTree: () => void }) {
  const session = sessionNow()
  const me = session.state === 'in' ? session.me : undefined
  return (
    <header className="header">
      <Button type="text" aria-label={t('tree')} icon={<Icon name="menu" />} onClick={toggleTree} />
      <To to="/" className="brand"><Mark /> <span>WinSphere</span></To>
      <nav className="mainnav" aria-label={t('main_lists')}>
        {['vms', 'hosts', 'pools', 'images', 'port-groups'].filter((p) => resources()[p]).map((p) => <To key={p} to={'/' + p}>{t('nav_' + p)}</To>)}
        <AllLists />
      </nav>
      <button type="button" className="searchbox" onClick={openPalette} data-test="open-search">
        <Icon name="search" size={14} /> <span>{t('search_hint')}</span> <kbd>/</kbd>
      </button>
      <Alarms />
      <Preferences />
      <Dropdown
        trigger={['click']} placement="bottomRight"
        menu={{ items: [
          { key: 'who', disabled: true, label: <><b>{me?.name}</b> · {t('times_in', { zone: zone() })}</> },
          { key: 'own', label: t('my_account'), onClick: () => me && go(`/users/${me.user}`) },
          { key: 'keys', label: t('keyboard'), onClick: () => openOverlay(<KeyMap />) },
          { key: 'out', label: t('log_out'), onClick: () => void logout() },
        ] }}
      >
        <Button type="text" icon={<Icon name="users" />} data-test="user">{me?.name}</Button>
      </Dropdown>
    </header>
  )
}

/** Every list that there is, by what one comes for; those that this user may not read are not there. */
const PARTS: [() => string, string[]][] = [
  [() => t('nav_part_compute'), ['vms', 'hosts', 'clusters', 'host-pools', 'business-groups', 'affinity-rules', 'drs-recommendations', 'migrations']],
  [() => t('nav_part_storage'), ['pools', 'volumes', 'images', 'switches', 'port-groups', 'bin']],
  [() => t('nav_part_watch'), ['tasks', 'ended-tasks', 'alarms', 'events', 'audit-records']],
  [() => t('nav_part_system'), ['users', 'roles', 'identity-providers', 'sessions', 'api-tokens', 'join-tokens', 'backups']],
]

/** By keyboard it is a menu: opened it has the focus, Escape gives that back to its button. */
function AllLists() {
  const [open, setOpen] = useState(false)
  const button = useRef<HTMLButtonElement>(null)
  const lists = useRef<HTMLElement>(null)
  const parts = PARTS.map(([title, lists]) => [title(), lists.filter((p) => p === 'bin' || resources()[p]?.ops.some((o) => o.name === 'list' && may(o.right)))] as const).filter(([, lists]) => lists.length > 0)
  return (
    <Popover
      trigger="click" open={open} onOpenChange={setOpen} afterOpenChange={(there) => there && lists.current?.querySelector('a')?.focus()} placement="bottomLeft" arrow={false}
      content={(
        <nav ref={lists} className="alllists" aria-label={t('more')} onKeyDown={(event) => {
          if (event.key !== 'Escape') return
          setOpen(false)
          button.current?.focus()
        }}>
          {parts.map(([title, lists]) => (
            <section key={title}>
              <h2>{title}</h2>
              {lists.map((p) => <To key={p} to={'/' + p} onGo={() => setOpen(false)}><Icon name={p} /> {p === 'bin' ? t('bin') : resources()[p]!.many}</To>)}
            </section>
          ))}
        </nav>
      )}
    >
      <button ref={button} type="button" className="navmore" aria-expanded={open} data-test="nav-more">{t('more')} <Icon name="down" size={11} /></button>
    </Popover>
  )
}

function Alarms() {
  const { rows } = useRows(may('alarm.read') ? 'alarms' : undefined, { sort: 'id' }, 1000)
  const levels = LEVELS.map((level) => [level, rows.filter((r) => r.level === level).length] as const).filter(([, n]) => n > 0)
  return (
    <To to="/alarms" className="alarms" title={t('alarms')}>
      {levels.length === 0 && <span className="icononly"><Icon name="alarms" /><span className="sr">{t('no_alarms')}</span></span>}
      {levels.map(([level, n]) => <span key={level} title={word(level)}><Glyph name={look('Alarm.level', level).glyph} colour={look('Alarm.level', level).colour} title={word(level)} /> {n}</span>)}
    </To>
  )
}
