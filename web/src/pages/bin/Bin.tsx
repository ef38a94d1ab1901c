// SPDX-License-Identifier: Apache-2.0
import { resource } from '../../api/contract'
import { Icon } from '../../kit/state/glyphs'
import { ListView } from '../../kit/table/ListView'
import { t } from '../../texts'

export default function Bin() {
  return (
    <div className="listpage">
      <div className="pagehead"><Icon name="bin" size={20} /><h1>{t('bin')}</h1></div>
      <div className="twolists">
        <p className="soft">{t('bin_how')}</p>
        <h2>{resource('vms')?.many}</h2>
        <ListView plural="vms" base="management=in_bin" sort="-in_bin_since" name="v" columns={['name', 'in_bin_since', 'bin_expires', 'host', 'cpu.vcpus', 'memory_bytes', 'group', 'created']} empty={<p>{t('bin_empty')}</p>} />
        <h2>{resource('volumes')?.many}</h2>
        <ListView plural="volumes" base={'in_bin_since!=""'} sort="-in_bin_since" name="w" columns={['name', 'in_bin_since', 'bin_expires', 'pool', 'size_bytes', 'allocated_bytes', 'used_by', 'created']} empty={<p>{t('bin_empty')}</p>} />
      </div>
    </div>
  )
}
