// SPDX-License-Identifier: Apache-2.0
import { registerPage } from '../registry'

export function register() {
  registerPage({ plural: 'sites', without: ['hosts', 'clusters', 'vms', 'pools', 'volumes', 'images', 'switches', 'port-groups'] })
}
