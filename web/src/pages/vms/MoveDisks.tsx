// SPDX-License-Identifier: Apache-2.0
// Where the disks of a VM go: pools that its host reaches, with their room, the one where they are among them (another format needs no other pool); single disks, other formats and a ceiling are folded.
import { useState } from 'react'
import { word } from '../../api/contract'
import { Fields } from '../../kit/form/Fields'
import { bytes } from '../../kit/format'
import { Name } from '../../kit/Name'
import { Icon } from '../../kit/state/glyphs'
import { StateGlyph } from '../../kit/state/State'
import type { FormProps } from '../../kit/verbs/forms'
import { useRows } from '../../live/store'
import { t } from '../../texts'

const MOST = 500

export default function MoveDisksFields({ objects, value, change }: FormProps) {
  const [more, setMore] = useState(false)
  const hosts = new Set(objects.map((vm) => vm.host))
  const single = objects.length === 1 ? objects[0]! : undefined
  const { rows, loading } = useRows('pools', { filter: 'state!=suspended and state!=unreachable and state!=creating', sort: '-available_bytes' }, MOST)
  const { rows: disks } = useRows(single ? 'volumes' : undefined, { filter: `used_by=${single?.id} and kind=disk` }, 64)
  const holds = (pool: string) => disks.filter((disk) => disk.pool === pool).length
  const reached = rows.filter((pool) => [...hosts].every((host) => pool.hosts?.includes(host)))
  return (
    <>
      <div className="pickhost" role="radiogroup" aria-label={t('target_pool')}>
        {reached.map((pool) => (
          <button type="button" role="radio" key={pool.id} aria-checked={value.pool === pool.id} className={value.pool === pool.id ? 'at' : ''} onClick={() => change({ ...value, pool: pool.id })} data-pool={pool.id}>
            <StateGlyph type="Pool" object={pool} />
            <Name text={pool.name} max={30} />
            <span className="faint">{word(pool.kind)}{holds(pool.id) > 0 && ` · ${t('disks_here', { n: holds(pool.id) })}`}</span>
            <span className="grow" />
            <span className="nums">{t('free_space_of', { size: bytes(pool.available_bytes), all: bytes(pool.capacity_bytes) })}</span>
          </button>
        ))}
        {!loading && !reached.length && <p className="faint">{t('no_pool_reached')}</p>}
      </div>
      <button type="button" className="grouphead" aria-expanded={more} onClick={() => setMore(!more)}><Icon name={more ? 'down' : 'right'} size={12} /> {t('more_settings')}</button>
      {more && <Fields type="VmMigrateStorage" except={['pool']} value={value} change={change} />}
    </>
  )
}
