// SPDX-License-Identifier: Apache-2.0
// A sentence of the catalogue in which some places are parts of the page, such as the link to a VM.
import { Fragment, type ReactNode } from 'react'

/** `text` as t() gives it, with the places left open that `parts` fill. */
export function Said({ text, parts }: { text: string; parts: Record<string, ReactNode> }) {
  return <>{text.split(/\{(\w+)\}/).map((piece, i) => <Fragment key={i}>{i % 2 ? parts[piece] ?? piece : piece}</Fragment>)}</>
}
