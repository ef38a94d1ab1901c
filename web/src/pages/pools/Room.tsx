// SPDX-License-Identifier: Apache-2.0
// Until when a pool has room, and what could be freed in it: what lies in the recycle bin, and disks that nothing uses.
import type { Obj } from '../../api/client'
import { Card, Fact, Facts } from '../../kit/Details'
import { bytes, count, time } from '../../kit/format'
import { Name, To } from '../../kit/Name'
import { may } from '../../live/session'
import { useRows } from '../../live/store'
import { useView } from '../../live/view'
import { t } from '../../texts'
import { forecast } from './forecast'

const MONTH_S = 30 * 86400
const READ = 2000
const SHOWN = 5
const NOTHING: string[] = []

interface History { from: string; step_s: number; series: { name: string; values: (number | null)[] }[] }

export function Room({ pool }: { pool: Obj }) {
  return (
    <Card title={t('room')}>
      <Facts>
        <Fact label={t('full_on')}><FullOn pool={pool} /></Fact>
      </Facts>
      {may('volume.read') && <Freeable pool={pool.id} />}
    </Card>
  )
}

function FullOn({ pool }: { pool: Obj }) {
  const { value, asking } = useView<History>(`/pools/${pool.id}/history?last_s=${MONTH_S}&series=available_bytes,capacity_bytes`, NOTHING)
  if (!value) return <span className="faint" aria-busy={asking}>{asking ? t('loading') : '-'}</span>
  const line = (name: string) => value.series.find((one) => one.name === name)?.values ?? []
  const free = line('available_bytes')
  const used = line('capacity_bytes').map((all, i): [number, number | null] => [Date.parse(value.from) + (i + 1) * value.step_s * 1000, all === null || free[i] == null ? null : all - free[i]!])
  const told = forecast(used, pool.capacity_bytes, Date.now())
  if (told.kind === 'full') return <b className={told.ms - Date.now() < 14 * 86400000 ? 'warnword' : ''}>{time(told.ms).slice(0, 10)}</b>
  return <span className="faint">{told.kind === 'not_filling' ? t('not_filling') : t('too_little_history')}</span>
}

function Freeable({ pool }: { pool: string }) {
  const bin = useRows('volumes', { filter: `pool=${pool} and in_bin_since!=""`, sort: '-allocated_bytes', fields: 'name,allocated_bytes' }, READ)
  const loose = useRows('volumes', { filter: `pool=${pool} and used_by="" and in_bin_since="" and kind=disk and state=ready`, sort: '-allocated_bytes', fields: 'name,allocated_bytes' }, READ)
  const linked = useRows('volumes', { filter: `pool=${pool} and parent!=""`, fields: 'parent' }, READ)
  const images = useRows(may('image.read') ? 'images' : undefined, { filter: `pool=${pool}`, fields: 'volume' }, READ)
  const needed = new Set([...linked.rows.map((row) => row.parent), ...images.rows.map((row) => row.volume)])
  const known = !linked.loading && (!images.loading || !may('image.read')) && linked.whole && !loose.loading && !bin.loading
  if (!known) return <p className="faint" aria-busy={linked.loading}>{linked.loading ? t('loading') : ''}</p>
  const unused = loose.rows.filter((row) => !needed.has(row.id))
  return (
    <>
      <Those title={t('in_the_bin')} rows={bin.rows} to="/bin" />
      <Those title={t('loose_disks')} rows={unused} to={`/volumes?filter=${encodeURIComponent(`pool:${pool} used_by:""`)}`} />
    </>
  )
}

function Those({ title, rows, to }: { title: string; rows: Obj[]; to: string }) {
  const size = rows.reduce((sum, row) => sum + (row.allocated_bytes ?? 0), 0)
  return (
    <div className="freeable">
      <Facts><Fact label={title}>{rows.length ? <To to={to}>{bytes(size)} ({count(rows.length)})</To> : t('none')}</Fact></Facts>
      <ul className="short">{rows.slice(0, SHOWN).map((row) => <li key={row.id}><To to={`/volumes/${row.id}`}><Name text={row.name} max={30} /></To><span className="grow" /><span className="nums">{bytes(row.allocated_bytes)}</span></li>)}</ul>
    </div>
  )
}
