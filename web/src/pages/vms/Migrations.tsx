// SPDX-License-Identifier: Apache-2.0
import { ListView } from '../../kit/table/ListView'
import type { TabProps } from '../registry'

export default function Migrations({ object: vm }: TabProps) {
  return <ListView plural="migrations" base={`vm=${vm.id}`} name="m" />
}
