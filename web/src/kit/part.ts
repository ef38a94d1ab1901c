// SPDX-License-Identifier: Apache-2.0
import { lazy, type ComponentType, type LazyExoticComponent } from 'react'

const WAIT_MS = 400

/** A part of the console that is loaded when it is first shown, or before by load(): where it must be there once something else is done. */
export type Part<P> = LazyExoticComponent<ComponentType<P>> & { load: () => Promise<unknown> }

/** Asked for twice, as networks are. */
export function part<P>(ask: () => Promise<{ default: ComponentType<P> }>): Part<P> {
  let under: Promise<{ default: ComponentType<P> }> | undefined
  const load = () => (under ??= ask().catch(async () => {
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS))
    return ask()
  }).catch((error) => {
    under = undefined // load() may be tried again
    throw error
  }))
  return Object.assign(lazy(load), { load })
}
