// SPDX-License-Identifier: Apache-2.0
import { ListView } from '../../kit/table/ListView'
import { t } from '../../texts'
import type { TabProps } from '../registry'

export default function Migrations({ object: host }: TabProps) {
  return (
    <div className="twolists">
      <h2>{t('moved_away')}</h2>
      <ListView plural="migrations" base={`from_host=${host.id}`} name="x" />
      <h2>{t('moved_here')}</h2>
      <ListView plural="migrations" base={`to_host=${host.id}`} name="y" />
    </div>
  )
}
