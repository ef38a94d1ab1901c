// SPDX-License-Identifier: Apache-2.0
import { Button } from 'antd'
import { Icon } from '../../kit/state/glyphs'
import { registerColumns } from '../../kit/table/columns'
import { registerVerbs } from '../../kit/verbs/forms'
import { withheld } from '../../kit/verbs/check'
import { go } from '../../router'
import { t } from '../../texts'
import { registerAddress, registerPage } from '../registry'
import { part } from '../../kit/part'

const Add = () => <Button type="primary" disabled={!!withheld('image.write')} title={withheld('image.write')} icon={<Icon name="upload" size={13} />} onClick={() => go('/images/upload')} data-test="create">{t('upload_image')}</Button>

export function register() {
  registerAddress({ path: '/images/upload', page: part(() => import('./Upload')), title: () => t('upload_image') })
  registerPage({ plural: 'images', summary: part(() => import('./Summary')), listActions: Add, empty: () => <><p>{t('no_images')}</p><Add /></>, parent: (o) => o.pool, without: ['volumes'] })
  registerColumns('images', { columns: ['name', 'state', 'kind', 'architecture', 'os.variant', 'size_bytes', 'pool', 'cloud_init', 'created'] })
  registerVerbs('images', { verify: { main: 1, icon: 'tasks' } })
}
