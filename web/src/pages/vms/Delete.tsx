// SPDX-License-Identifier: Apache-2.0
import { useRows } from '../../live/store'
import { Fields } from '../../kit/form/Fields'
import { bytes } from '../../kit/format'
import { Name } from '../../kit/Name'
import { Icon } from '../../kit/state/glyphs'
import type { FormProps } from '../../kit/verbs/forms'
import { t } from '../../texts'

/** Which way, and what goes with it. */
export default function DeleteFields({ objects, value, change }: FormProps) {
  const { rows } = useRows(objects.length === 1 ? 'volumes' : undefined, { filter: `used_by=${objects[0]?.id}` }, 64)
  const destroys = value.how === 'destroy'
  return (
    <>
      <Fields type="VmDelete" only={destroys ? ['how', 'wipe'] : ['how']} value={value} change={change} />
      <p className={destroys ? 'warnword' : 'soft'}>{t(`delete_${value.how ?? 'bin_with_volumes'}`)}</p>
      {rows.length > 0 && <ul className="names">{rows.map((v) => <li key={v.id}><Icon name="volumes" size={14} /> <Name text={v.name} max={40} /> <span className="faint">{bytes(v.size_bytes)}</span></li>)}</ul>}
    </>
  )
}
