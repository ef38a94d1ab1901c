// SPDX-License-Identifier: Apache-2.0
// Where a VM goes: hosts with room and load at a glance, its networks there, the rest of the settings folded. The server's checks stand below as it is chosen.
import { useState } from 'react'
import { Fields } from '../../kit/form/Fields'
import { Icon } from '../../kit/state/glyphs'
import type { FormProps } from '../../kit/verbs/forms'
import { t } from '../../texts'
import { MigrateHosts } from './MigrateHosts'
import { MigrateNetworks } from './MigrateNetworks'

export default function MigrateFields({ objects, value, change }: FormProps) {
  const [more, setMore] = useState(false)
  return (
    <>
      <MigrateHosts objects={objects} chosen={value.host} choose={(host) => change({ ...value, host, map: undefined })} />
      {value.host && <MigrateNetworks key={value.host} objects={objects} host={value.host} map={value.map ?? {}} change={(map) => change({ ...value, map })} />}
      <button type="button" className="grouphead" aria-expanded={more} onClick={() => setMore(!more)}><Icon name={more ? 'down' : 'right'} size={12} /> {t('more_settings')}</button>
      {more && <Fields type="VmMigrate" except={value.host ? ['host', 'networks', 'cluster'] : ['host', 'networks']} value={value} change={change} />}
    </>
  )
}
