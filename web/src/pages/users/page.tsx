// SPDX-License-Identifier: Apache-2.0
import { registerForm } from '../../kit/form/shape'

export function register() {
  registerForm('users', { first: ['name', 'kind', 'password', 'roles'], hide: (user) => (user.kind === 'service' ? ['password'] : []) })
}
