// SPDX-License-Identifier: Apache-2.0
import { Console } from '../../kit/console/Console'
import type { TabProps } from '../registry'

export default function ConsoleTab({ object: vm }: TabProps) {
  return <Console vm={vm} />
}
