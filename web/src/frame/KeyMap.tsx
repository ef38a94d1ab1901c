// SPDX-License-Identifier: Apache-2.0
import { Modal } from 'antd'
import { closeOverlay } from '../kit/overlay'
import { t } from '../texts'

const KEYS: [string, () => string][] = [
  ['/', () => t('key_search')], ['g s', () => t('key_site')], ['g v', () => t('key_vms')], ['g h', () => t('key_hosts')], ['g c', () => t('key_clusters')], ['g p', () => t('key_pools')], ['g n', () => t('key_networks')],
  ['g i', () => t('key_images')], ['g t', () => t('key_tasks')], ['g a', () => t('key_alarms')], ['g b', () => t('key_bin')], ['j k', () => t('key_rows')], ['x', () => t('key_pick')], ['Enter', () => t('key_open')], ['.', () => t('key_verbs')],
  ['c', () => t('key_console')], ['m', () => t('key_migrate')], ['[ ]', () => t('key_tabs')], ['t', () => t('key_tree')], ['?', () => t('key_map')],
]

export function KeyMap() {
  return (
    <Modal open title={t('keyboard')} footer={null} onCancel={closeOverlay} width={520}>
      <dl className="keys">{KEYS.map(([key, what]) => <div key={key}><dt>{key.split(' ').map((k) => <kbd key={k}>{k}</kbd>)}</dt><dd>{what()}</dd></div>)}</dl>
    </Modal>
  )
}
