"""The scope ``mmhadaptive`` of mmengine, in which configs and models are called by name.

mmengine imports this module where the scope is named, as in ``_base_ = 'mmhadaptive::...'`` of a
config or in ``DetInferencer(name, scope='mmhadaptive')``; but it refuses a name that it does not
know, so :mod:`mmhadaptive.engine` has to be imported first.
"""

from __future__ import annotations

import mmengine.registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry

SCOPE = "mmhadaptive"


class SurroundingRegistry(Registry):
    """Finds what the scope around ``mmhadaptive`` finds.

    The classes of this package stand in the registries of mmengine, mmdet and mmpretrain, and each
    of its configs is written for one of these toolkits. So what mmengine marks with this scope,
    since a config inherited it, is built in the scope of the Runner. Where this scope is itself the
    outermost one, an inferencer of mmdet has set it.
    """

    def get(self, key: str) -> type | None:
        scope = "mmdet"
        for name, instance in reversed(DefaultScope._instance_dict.items()):
            if instance.scope_name != SCOPE:
                scope = instance.scope_name
                break
            if not name.startswith("overwrite-"):
                break
        with self.parent.switch_scope_and_registry(scope) as registry:
            return registry.get(key)


for root in [value for value in vars(mmengine.registry).values() if isinstance(value, Registry)]:
    SurroundingRegistry(root.name, parent=root, scope=SCOPE)
MODULE2PACKAGE[SCOPE] = "mmhadaptive"
