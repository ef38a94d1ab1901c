// SPDX-License-Identifier: Apache-2.0
import { lazy, type ComponentType } from 'react'

const WAIT_MS = 400

/** A part of the console that is loaded when it is first shown; asked for twice, as networks are. */
export const part = <P>(load: () => Promise<{ default: ComponentType<P> }>) => lazy(() => load().catch(async () => {
  await new Promise((resolve) => setTimeout(resolve, WAIT_MS))
  return load()
}))
