// SPDX-License-Identifier: Apache-2.0
// What a page says of a verb's dialog beyond the contract: registered by the page's folder, found by the verb.
import type { ComponentType, LazyExoticComponent } from 'react'
import type { Obj } from '../../api/client'
import type { MigrationForecast } from '../../api/generated/types'

export interface FormProps { objects: Obj[]; value: Record<string, any>; change: (value: Record<string, any>) => void }

export interface IntroProps { objects: Obj[]; value: Record<string, any> }

/** Of `of` objects, what the dry runs of some of them expect it to take. */
export interface ForetoldProps { forecasts: MigrationForecast[]; of: number }

export interface VerbForm {
  /** Does all of it: opens a page, a window, a dialog of its own. */
  run?: (objects: Obj[]) => void
  /** In place of the fields that the contract gives the verb. */
  fields?: ComponentType<FormProps> | LazyExoticComponent<ComponentType<FormProps>>
  /** What will happen, above the fields. */
  intro?: ComponentType<IntroProps> | LazyExoticComponent<ComponentType<IntroProps>>
  /** What it is expected to take, below the fields; asked of the server, of many objects too. */
  foretold?: ComponentType<ForetoldProps> | LazyExoticComponent<ComponentType<ForetoldProps>>
  /** Values at first. */
  initial?: (objects: Obj[]) => Record<string, any>
  /** Whether enough is said to ask the server about it; beside what the contract requires. */
  ready?: (value: Record<string, any>) => boolean
  /** What is sent of one object, where that is not what was filled in. */
  each?: (object: Obj, value: Record<string, any>) => Record<string, any>
  /** Glyph of its button. */
  icon?: string
  /** Among the first buttons of the object's page, in this order. */
  main?: number
  shortcut?: string
}

const forms = new Map<string, VerbForm>()

export function registerVerbs(plural: string, verbs: Record<string, VerbForm>) {
  for (const [verb, form] of Object.entries(verbs)) forms.set(`${plural}.${verb}`, form)
}

export const verbForm = (plural: string, verb: string): VerbForm | undefined => forms.get(`${plural}.${verb}`)
