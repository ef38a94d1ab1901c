// SPDX-License-Identifier: Apache-2.0
// Where a VM goes: hosts with room and load at a glance, the rest of the settings folded. The server's checks stand below as it is chosen.
import { useState } from 'react'
import { Fields } from '../../kit/form/Fields'
import { bytes, percent } from '../../kit/format'
import { Name } from '../../kit/Name'
import { Icon } from '../../kit/state/glyphs'
import { StateGlyph } from '../../kit/state/State'
import type { FormProps } from '../../kit/verbs/forms'
import { useObject, useRows } from '../../live/store'
import { t } from '../../texts'

const SHOWN = 50

export default function MigrateFields({ objects, value, change }: FormProps) {
  const [more, setMore] = useState(false)
  const vm = objects[0]!
  const { object: from } = useObject(vm.host)
  const near = from?.cluster ? `cluster=${from.cluster} and ` : ''
  const { rows, loading } = useRows('hosts', { filter: `${near}state=connected and mode=normal`, sort: 'load.cpu_percent' }, SHOWN)
  const others = rows.filter((row) => objects.length > 1 || row.id !== vm.host)
  return (
    <>
      <div className="pickhost" role="radiogroup" aria-label={t('target_host')}>
        {others.map((row) => {
          const free = row.load?.memory_available_bytes
          return (
            <button type="button" role="radio" key={row.id} aria-checked={value.host === row.id} className={value.host === row.id ? 'at' : ''} onClick={() => change({ ...value, host: row.id })} data-host={row.id}>
              <StateGlyph type="Host" object={row} />
              <Name text={row.name} max={30} />
              <span className="grow" />
              <span className="track"><i className="fill" style={{ width: `${row.load?.cpu_percent ?? 0}%` }} /></span>
              <span className="nums">CPU {percent(row.load?.cpu_percent)}</span>
              <span className="nums">{t('free_memory', { size: bytes(free) })}</span>
            </button>
          )
        })}
        {!loading && !others.length && <p className="faint">{t('no_other_host')}</p>}
      </div>
      <button type="button" className="grouphead" aria-expanded={more} onClick={() => setMore(!more)}><Icon name={more ? 'down' : 'right'} size={12} /> {t('more_settings')}</button>
      {more && <Fields type="VmMigrate" except={['host']} value={value} change={change} />}
    </>
  )
}
